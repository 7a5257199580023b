import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type AccessTest,
  createAccessTest,
  type ServerPair,
  startServerPair,
} from '../../support/routes/access-test.js'
import {
  buildFastify,
  constraintFields,
  fastifyRouters,
  fastifyVersions,
  routesFor,
} from '../../support/routes/fastify-apps.js'
import { type DeclaredRoute, pathOf } from '../../support/routes/reference.js'
import { scenarios, toRequest } from '../../support/routes/scenarios.js'
import { assertOnSeeds, runsOf } from '../../support/routes/seeds.js'
import { honestValues, plainPath } from '../../support/routes/spellings.js'
import { policyOf } from '../../support/routes/tokens.js'
import type { RawRequest } from '../../support/routes/wire.js'

/*
 * The same guarantee as for the frameworks whose routing is imitated. Fastify reports the route that it has
 * matched, so the guarantee holds under every option of its router.
 */

// About 5,000 requests. `npm run test:soak` has 50,000.
const runsPerSeed = 3
const timeLimit = 180_000

// Without a slash: the value of a constrained parameter has to be one segment.
const plainValues = honestValues.filter((value) => !value.includes('%2F'))

const drafts = fc.record({
  scenario: scenarios,
  values: fc.array(fc.constantFrom(...plainValues), { minLength: 3, maxLength: 3 }),
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
    'a request has the rule of the handler that it reaches, and no weaker one: router %s',
    async (_option, setup) => {
      const totals = { handled: 0, allowed: 0, reached: 0 }
      await assertOnSeeds(
        fc.asyncProperty(drafts, async ({ scenario, values, fields }) => {
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
          for (const [at, route] of routes.entries()) {
            const method = route.methods[0]?.replace('*', 'PUT') ?? 'GET'
            const target = plainPath(route, values)
            const request = { method, target, headers: fields[at] ?? [] }
            if (await isReached(accessTest, route, request)) totals.reached++
          }
        }),
        runsPerSeed,
      )
      // The test is only meaningful if requests reach handlers and some are allowed.
      expect(totals.handled).toBeGreaterThan(runsOf(runsPerSeed) / 2)
      expect(totals.allowed).toBeGreaterThan(0)
      expect(totals.reached).toBeGreaterThan(runsOf(runsPerSeed) / 2)
    },
    timeLimit,
  )
})

/** Calls the handler of a route with only the right to it. False if the request is for another handler. */
async function isReached(
  accessTest: AccessTest,
  route: DeclaredRoute,
  request: RawRequest,
): Promise<boolean> {
  sent++
  if ((await accessTest.handlerFor(request)) !== route) return false
  const { status, answer } = await accessTest.call(request, route)
  expect({ request, status, key: answer?.key, rule: answer?.grant?.route }).toEqual({
    request,
    status: 200,
    key: route.key,
    // A public route gives no grant.
    rule: route.access === 'public' ? undefined : pathOf(route),
  })
  return true
}
