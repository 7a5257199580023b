import fc from 'fast-check'

/** Seeds that once revealed a bug, and others. The same in every run, so that a failure is not by chance. */
const fixedSeeds = [561795197, 1, 1000003]

// A failure prints its seed. ROUTE_SEED=... runs it again, and ROUTE_RUNS=... sets the number of runs of each
// seed. `npm run test:soak` tries new seeds for a given time.
const { ROUTE_SEED, ROUTE_RUNS } = process.env

/** The fixed seeds, or ROUTE_SEED. */
const seeds = ROUTE_SEED === undefined ? fixedSeeds : [Number(ROUTE_SEED)]

/** The total number of runs of a property. */
export function runsOf(runsPerSeed: number): number {
  return seeds.length * runsOfSeed(runsPerSeed)
}

/** Checks a property with every seed, with `runsPerSeed` runs unless ROUTE_RUNS is set. */
export async function assertOnSeeds<T>(property: fc.IAsyncProperty<T>, runsPerSeed: number): Promise<void> {
  for (const seed of seeds) await fc.assert(property, { numRuns: runsOfSeed(runsPerSeed), seed })
}

function runsOfSeed(runsPerSeed: number): number {
  return ROUTE_RUNS === undefined ? runsPerSeed : Number(ROUTE_RUNS)
}
