import { availableParallelism } from 'node:os'
import { defineConfig, type TestUserConfig } from 'vitest/config'

/** Tests that replace a module, or count on a fresh copy of one: each needs a process of its own. */
const apart = {
  unit: [
    'test/unit/delegation/verify-chain.test.ts',
    'test/unit/keys/key-set.test.ts',
    'test/unit/stores/memory/shared-replay.test.ts',
  ],
  // They replace modules, block threads or measure memory.
  attacks: ['caches', 'crowd', 'faults', 'pool'].map((name) => `test/attacks/${name}.test.ts`),
  integration: ['package', 'redis', 'runtimes', 'telemetry'].map(
    (folder) => `test/integration/${folder}/**/*.test.ts`,
  ),
}

/** Tests that wait for seconds to pass, and so are not among the quick ones. */
const waiting = [
  'test/unit/keys/outage.test.ts',
  'test/unit/mcp/{sessions,streams}.test.ts',
  'test/unit/rules/limit.test.ts',
  'test/unit/token/resolve-issuer.test.ts',
  'test/unit/upgrade/socket-ends.test.ts',
  'test/unit/watch/*.test.ts',
]

/** Tests of hundreds of random cases, which are not among the quick ones either. */
const properties = 'test/unit/**/*.property.test.ts'

export default defineConfig({
  test: {
    testTimeout: 60_000,
    // One more than there are cores: many files wait for a server or a clock most of the time. Not in CI,
    // where a test that is late costs more than the minute.
    maxWorkers: process.env.CI ? '100%' : availableParallelism() + 1,
    dangerouslyIgnoreUnhandledErrors: false,
    unstubGlobals: true,
    setupFiles: ['test/support/setup.ts'],
    // Hundreds of verifiers are made with a route in mode "observe": listeners still hear of it.
    execArgv: ['--disable-warning=AJWT_OBSERVE'],
    coverage: {
      include: ['src/**/*.ts', 'middleware/**/*.ts'],
      // The command is built and run in processes of its own (test/integration/cli), which are not measured.
      exclude: ['src/cli/**'],
      reporter: ['text-summary', 'json-summary'],
      thresholds: { lines: 95, branches: 92 },
    },
    projects: [
      // Files that share a process load the library, the frameworks and their keys once.
      project('unit', ['test/unit/**/*.test.ts'], {
        exclude: [...apart.unit, ...waiting, properties],
        isolate: false,
      }),
      project('unit-waiting', waiting, { isolate: false }),
      project('unit-apart', apart.unit),
      project('core', ['test/conformance/core.test.ts']),
      // The core as Workers have it: Web Crypto, and none of Node's modules.
      {
        resolve: { conditions: ['workerd'] },
        ssr: { resolve: { conditions: ['workerd'] } },
        ...project('core-web', ['test/conformance/core-web.test.ts', 'test/conformance/vectors.test.ts']),
      },
      project('properties', [properties], { testTimeout: 120_000, isolate: false }),
      project('conformance', ['test/conformance/**/*.test.ts'], {
        exclude: ['test/conformance/core.test.ts', 'test/conformance/core-web.test.ts'],
        isolate: false,
      }),
      project('attacks', ['test/attacks/**/*.test.ts'], { exclude: apart.attacks, isolate: false }),
      project('attacks-apart', apart.attacks),
      project('integration', ['test/integration/**/*.test.ts'], {
        exclude: apart.integration,
        isolate: false,
        globalSetup: ['test/support/package/run-folder.ts'],
      }),
      project('integration-apart', apart.integration, {
        // Tests at the same time in one file wait for Redis.
        maxConcurrency: 10,
        globalSetup: ['test/support/package/run-folder.ts'],
      }),
    ],
  },
})

function project(
  name: string,
  include: string[],
  more: Pick<TestUserConfig, 'exclude' | 'isolate' | 'testTimeout' | 'globalSetup' | 'maxConcurrency'> = {},
) {
  return { extends: true as const, test: { name, include, ...more } }
}
