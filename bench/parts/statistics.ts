export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((one, other) => one - other)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] as number
}

/** A function to time. */
export interface Timed {
  readonly name: string
  /** Makes the inputs of one round, which is not timed. Returns the function to time, with `runs` runs. */
  round(runs: number): () => void | Promise<void>
}

export interface Timing {
  readonly name: string
  /** Microseconds of one run, median of the rounds. */
  readonly micros: number
  /** Microseconds of one run in the fastest round: with the least of other load. */
  readonly least: number
  /** Ratio to the first contender, median of the rounds. Other load on the machine affects both. */
  readonly ratio: number
}

/**
 * Times the contenders in turns, in a changing order, so that other load on the machine affects all of them.
 * The first rounds are not counted.
 */
export async function interleave(
  contenders: readonly Timed[],
  { rounds, runs, warmUp = Math.ceil(rounds / 5) }: { rounds: number; runs: number; warmUp?: number },
): Promise<Timing[]> {
  const times = contenders.map(() => [] as number[])
  for (let round = 0; round < warmUp + rounds; round++) {
    for (let turn = 0; turn < contenders.length; turn++) {
      const index = (turn + round) % contenders.length
      const run = (contenders[index] as Timed).round(runs)
      const began = performance.now()
      await run()
      const micros = ((performance.now() - began) * 1000) / runs
      if (round >= warmUp) times[index]?.push(micros)
    }
  }
  const [base] = times as [number[]]
  return contenders.map(({ name }, index) => {
    const own = times[index] as number[]
    return {
      name,
      micros: median(own),
      least: Math.min(...own),
      ratio: median(own.map((time, round) => time / (base[round] as number))),
    }
  })
}
