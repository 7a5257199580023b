import fc from 'fast-check'

/** Seeds on which a fault was found once, and some more, so that every run of the suite tries the same cases. */
const fixedSeeds = [561795197, 1, 1000003]

/*
 * A failure prints its seed: ROUTE_SEED=... runs that one again, and ROUTE_RUNS=... sets the runs of each seed.
 * `npm run test:soak` tries new seeds for as long as it is told.
 */
const { ROUTE_SEED, ROUTE_RUNS } = process.env

/** The fixed seeds and a new one; or the one that was asked for. */
const seeds = ROUTE_SEED === undefined ? [...fixedSeeds, Date.now() % 0x7fffffff] : [Number(ROUTE_SEED)]

/** How often a property is tried in all, if each of the seeds has so many runs. */
export function runsOf(runsPerSeed: number): number {
  return seeds.length * runsOfSeed(runsPerSeed)
}

/** Tries a property on every seed, with so many runs each unless ROUTE_RUNS says otherwise. */
export async function assertOnSeeds<T>(property: fc.IAsyncProperty<T>, runsPerSeed: number): Promise<void> {
  for (const seed of seeds) await fc.assert(property, { numRuns: runsOfSeed(runsPerSeed), seed })
}

function runsOfSeed(runsPerSeed: number): number {
  return ROUTE_RUNS === undefined ? runsPerSeed : Number(ROUTE_RUNS)
}
