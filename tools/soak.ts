import { spawnSync } from 'node:child_process'

/**
 * `npm run test:soak -- MINUTES` (default 10): a million junk tokens, 50,000 requests to Fastify under every
 * option of its router, then the random tests of routes and of single functions with new seeds until the time
 * is over. Exits with 1 if a test fails, and prints the seeds that failed.
 */

const minutes = Number(process.argv[2] ?? 10)
const end = Date.now() + minutes * 60_000
const failed: string[] = []
let count = 0

/** Runs test files with additional environment variables. Records `name` if a test fails. */
function run(name: string, files: readonly string[], environment: Record<string, string>): void {
  const { status, stdout } = spawnSync('npx', ['vitest', 'run', ...files], {
    env: { ...process.env, ...environment, NO_COLOR: '1' },
    encoding: 'utf8',
  })
  const count = /^\d+ requests to .*$/m.exec(stdout)?.[0]
  if (count !== undefined) console.log(count)
  if (status === 0) return
  failed.push(name)
  console.log(stdout)
}

function newSeed(): string {
  return String(Math.floor(Math.random() * 0x7fffffff))
}

run('JUNK_TOKENS=1000000', ['test/attacks/faults.test.ts'], { JUNK_TOKENS: '1000000' })
const fastifySeed = newSeed()
run(`ROUTE_RUNS=90 ROUTE_SEED=${fastifySeed}`, ['test/attacks/routes/fastify.test.ts'], {
  ROUTE_SEED: fastifySeed,
  ROUTE_RUNS: '90',
})
while (Date.now() < end) {
  const seed = newSeed()
  count++
  run(`ROUTE_SEED=${seed}`, ['test/attacks/routes/'], { ROUTE_SEED: seed, ROUTE_RUNS: '30' })
  run(`PROPERTY_SEED=${seed}`, ['--project', 'properties', '--project', 'unit', '--project', 'unit-apart'], {
    PROPERTY_SEED: seed,
  })
}

console.log(`a million junk tokens and ${count} seeds, ${failed.length} failed`)
for (const name of failed) console.log(name)
process.exitCode = failed.length === 0 ? 0 : 1
