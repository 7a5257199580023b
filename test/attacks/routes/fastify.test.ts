import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { buildFastify, fastifyRouters, fastifyVersions } from '../../support/routes/apps.js'
import { scenarios, toRequest } from '../../support/routes/scenarios.js'
import { assertOnSeeds, runsOf } from '../../support/routes/seeds.js'
import { policyOf } from '../../support/routes/tokens.js'
import { type Bench, createTrial, openBench } from '../../support/routes/trial.js'

/*
 * The same guarantee as for the frameworks whose routing is imitated. Fastify tells which route it has matched, so it
 * has to hold under every option of its router.
 */

const runsPerSeed = 4
const timeLimit = 180_000

describe.each(Object.entries(fastifyVersions))('%s', (_version, framework) => {
  let bench: Bench
  beforeAll(async () => {
    bench = await openBench()
  })
  afterAll(() => bench.close())

  test.each(Object.entries(fastifyRouters))(
    'no spelling of a request reaches a handler under a weaker rule than its own: router %s',
    async (_option, router) => {
      const seen = { meant: 0, passed: 0 }
      await assertOnSeeds(
        fc.asyncProperty(scenarios, async ({ routes, unmatched, preflight, requests }) => {
          const policy = policyOf(routes, { unmatched, preflight })
          const trial = createTrial(
            bench,
            routes,
            buildFastify(framework, router, routes, policy),
            buildFastify(framework, router, routes, undefined),
          )
          for (const draft of requests) {
            const finding = await trial.attempt(toRequest(draft, routes))
            if (finding.meant !== undefined) seen.meant++
            seen.passed += finding.passed
          }
        }),
        runsPerSeed,
      )
      // Else nothing was tried: no request meant a handler, or none was let through anywhere.
      expect(seen.meant).toBeGreaterThan(runsOf(runsPerSeed) / 2)
      expect(seen.passed).toBeGreaterThan(0)
    },
    timeLimit,
  )
})
