import { spawnSync } from 'node:child_process'

/*
 * `npm run test:soak -- MINUTES` (10 unless told otherwise): the random tests of routes on new seeds until the time
 * is over. Ends with 1 and the seeds that failed, where one did.
 */
const minutes = Number(process.argv[2] ?? 10)
const end = Date.now() + minutes * 60_000
const failed: number[] = []
let count = 0

while (Date.now() < end) {
  const seed = Math.floor(Math.random() * 0x7fffffff)
  count++
  const { status, stdout } = spawnSync(
    'npx',
    ['vitest', 'run', 'test/unit/routing/route-guarantee', 'test/unit/routing/mounts'],
    {
      env: { ...process.env, ROUTE_SEED: String(seed), ROUTE_RUNS: '30', NO_COLOR: '1' },
      encoding: 'utf8',
    },
  )
  if (status === 0) continue
  failed.push(seed)
  console.log(stdout)
}

console.log(`${count} seeds, ${failed.length} failed${failed.map((seed) => `\nROUTE_SEED=${seed}`).join('')}`)
process.exitCode = failed.length === 0 ? 0 : 1
