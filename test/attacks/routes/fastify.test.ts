import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createAccessTest, type ServerPair, startServerPair } from '../../support/routes/access-test.js'
import { buildFastify, fastifyRouters, fastifyVersions } from '../../support/routes/apps.js'
import { scenarios, toRequest } from '../../support/routes/scenarios.js'
import { assertOnSeeds, runsOf } from '../../support/routes/seeds.js'
import { policyOf } from '../../support/routes/tokens.js'

/*
 * The same guarantee as for the frameworks whose routing is imitated. Fastify tells which route it has matched, so it
 * has to hold under every option of its router.
 */

const runsPerSeed = 4
const timeLimit = 180_000

describe.each(Object.entries(fastifyVersions))('%s', (_version, framework) => {
  let servers: ServerPair
  beforeAll(async () => {
    servers = await startServerPair()
  })
  afterAll(() => servers.close())

  test.each(Object.entries(fastifyRouters))(
    'no spelling of a request reaches a handler under a weaker rule than its own: router %s',
    async (_option, router) => {
      const totals = { handled: 0, allowed: 0 }
      await assertOnSeeds(
        fc.asyncProperty(scenarios, async ({ routes, unmatched, preflight, requests }) => {
          const policy = policyOf(routes, { unmatched, preflight })
          const accessTest = createAccessTest(
            servers,
            routes,
            buildFastify(framework, router, routes, policy),
            buildFastify(framework, router, routes, undefined),
          )
          for (const draft of requests) {
            const result = await accessTest.sendAsIntruders(toRequest(draft, routes))
            if (result.handler !== undefined) totals.handled++
            totals.allowed += result.allowed
          }
        }),
        runsPerSeed,
      )
      // The test is only meaningful if requests reach handlers and some are allowed.
      expect(totals.handled).toBeGreaterThan(runsOf(runsPerSeed) / 2)
      expect(totals.allowed).toBeGreaterThan(0)
    },
    timeLimit,
  )
})
