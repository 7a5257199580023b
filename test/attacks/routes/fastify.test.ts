import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createAccessTest, type ServerPair, startServerPair } from '../../support/routes/access-test.js'
import {
  buildFastify,
  constraintFields,
  fastifyRouters,
  fastifyVersions,
  routesFor,
} from '../../support/routes/fastify-apps.js'
import { scenarios, toRequest } from '../../support/routes/scenarios.js'
import { assertOnSeeds, runsOf } from '../../support/routes/seeds.js'
import { policyOf } from '../../support/routes/tokens.js'

/*
 * The same guarantee as for the frameworks whose routing is imitated. Fastify reports the route that it has
 * matched, so the guarantee holds under every option of its router.
 */

// About 4,000 requests. `npm run test:soak` has 49,000.
const runsPerSeed = 3
const timeLimit = 180_000

const drafts = fc.record({
  scenario: scenarios,
  fields: fc.array(fc.constantFrom(...constraintFields), { minLength: 14, maxLength: 14 }),
})

let sent = 0
afterAll(() => {
  if (process.env.ROUTE_RUNS !== undefined) console.log(`${sent} requests to Fastify`)
})

describe.each(Object.entries(fastifyVersions))('%s', (_version, framework) => {
  let servers: ServerPair
  beforeAll(async () => {
    servers = await startServerPair()
  })
  afterAll(() => servers.close())

  test.each(Object.entries(fastifyRouters))(
    'no spelling of a request reaches a handler under a weaker rule than its own: router %s',
    async (_option, setup) => {
      const totals = { handled: 0, allowed: 0 }
      await assertOnSeeds(
        fc.asyncProperty(drafts, async ({ scenario, fields }) => {
          const { unmatched, preflight, requests } = scenario
          const routes = routesFor(setup, scenario.routes)
          const policy = policyOf(routes, { unmatched, preflight })
          const accessTest = createAccessTest(
            servers,
            routes,
            buildFastify(framework, setup, routes, policy),
            buildFastify(framework, setup, routes, undefined),
          )
          for (const [at, draft] of requests.entries()) {
            const request = toRequest(draft, routes)
            const headers = [...request.headers, ...(fields[at] ?? [])]
            const result = await accessTest.sendAsIntruders({ ...request, headers })
            sent++
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
