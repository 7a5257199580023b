import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type AccessTest,
  createAccessTest,
  type ServerPair,
  startServerPair,
} from '../../support/routes/access-test.js'
import { builders, plainSetup } from '../../support/routes/apps.js'
import {
  asExpress,
  asHono,
  type DeclaredRoute,
  declare,
  mustMatch,
  pathOf,
  type Semantics,
} from '../../support/routes/reference.js'
import { scenarios, toRequest } from '../../support/routes/scenarios.js'
import { assertOnSeeds, runsOf } from '../../support/routes/seeds.js'
import { honestValues, plainPath, routeLists, spell } from '../../support/routes/spellings.js'
import { policyOf } from '../../support/routes/tokens.js'
import type { RawRequest } from '../../support/routes/wire.js'

/*
 * The guarantee: if a handler of a real app answers a request, the caller met that handler's own rule. Every
 * route has a scope of its own, so the accepted credential shows which rule was applied. An equal app without
 * `ajwt` shows which handler a spelling means, so that the test can try the caller that must not reach it.
 */

const runsPerSeed = 40
const spellingRunsPerSeed = 10

// fast-check first shrinks a failure, which takes time.
const timeLimit = 180_000

const valueLists = fc.array(fc.constantFrom(...honestValues), { minLength: 3, maxLength: 3 })

const foldedByExpressAndKoa = fc.constantFrom('letterCase', 'otherCase', 'lastSlash')
const decodedByHono = fc.constant('encodedLetter')

describe.each(Object.entries(builders))('%s', (name, build) => {
  const isHono = name === 'Hono 4'
  const semantics = isHono ? asHono : asExpress
  let servers: ServerPair
  beforeAll(async () => {
    servers = await startServerPair()
  })
  afterAll(() => servers.close())

  test(
    'no spelling of a request reaches a handler under a weaker rule than its own',
    async () => {
      const totals = { handled: 0, allowed: 0 }
      await assertOnSeeds(
        fc.asyncProperty(scenarios, async ({ routes, setup, unmatched, preflight, requests }) => {
          const policy = policyOf(routes, { unmatched, preflight })
          const accessTest = createAccessTest(
            servers,
            routes,
            build(routes, policy, setup),
            build(routes, undefined, setup),
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
      expect(totals.handled).toBeGreaterThan(runsOf(runsPerSeed))
      expect(totals.allowed).toBeGreaterThan(runsOf(runsPerSeed) / 4)
    },
    timeLimit,
  )

  test('a method override is settled where it came before, and refused where it is still to come', async () => {
    const [posting, deleting] = [
      declare(['POST'], ['a', ':id'], { scope: 'post' }),
      declare(['DELETE'], ['a', ':id'], { scope: 'delete' }),
    ]
    const routes = [posting, deleting]
    const overridden: RawRequest[] = [
      { method: 'POST', target: '/a/1', headers: [['x-http-method-override', 'DELETE']] },
      { method: 'POST', target: '/a/1?_method=DELETE', headers: [] },
      { method: 'POST', target: '/a/1?_%6dethod=%44ELETE', headers: [] },
    ]
    for (const override of ['before', 'after'] as const) {
      const setup = { ...plainSetup, override }
      const policy = policyOf(routes)
      const accessTest = createAccessTest(
        servers,
        routes,
        build(routes, policy, setup),
        build(routes, undefined, setup),
      )
      for (const request of overridden) {
        expect(await accessTest.handlerFor(request)).toBe(deleting)
        expect(await accessTest.call(request, posting)).toMatchObject({ status: 403, answer: undefined })
        const { status, answer } = await accessTest.call(request, deleting)
        expect({ override, request, status, key: answer?.key }).toEqual(
          override === 'before'
            ? { override, request, status: 200, key: deleting.key }
            : { override, request, status: 403, key: undefined },
        )
      }
    }
  })

  test('a path that begins with two slashes reaches no handler', async () => {
    const [one, two] = [
      declare(['GET'], [':p0', '*'], { scope: 'one' }),
      declare(['GET'], ['*'], { scope: 'two' }),
    ]
    const routes = [one, two]
    const accessTest = createAccessTest(
      servers,
      routes,
      build(routes, policyOf(routes), plainSetup),
      build(routes, undefined, plainSetup),
    )
    const request: RawRequest = { method: 'GET', target: '//X1/x1', headers: [] }
    expect(await accessTest.handlerFor(request)).toBeDefined()
    for (const route of routes) {
      expect(await accessTest.call(request, route)).toMatchObject({ status: 403, answer: undefined })
    }
  })

  test(
    'the plain spelling of a route, with the right to it, reaches its handler',
    async () => {
      let reached = 0
      await assertOnSeeds(
        fc.asyncProperty(routeLists, valueLists, async (routes, values) => {
          const accessTest = createAccessTest(
            servers,
            routes,
            build(routes, policyOf(routes), plainSetup),
            build(routes, undefined, plainSetup),
          )
          for (const route of routes) {
            const target = plainPath(route, values)
            for (const named of route.methods) {
              const method = named === '*' ? 'PUT' : named
              const meant = await reach(
                accessTest,
                routes,
                { method, target, headers: [] },
                target,
                semantics,
              )
              if (meant === route) reached++
            }
          }
        }),
        spellingRunsPerSeed,
      )
      expect(reached).toBeGreaterThan(runsOf(spellingRunsPerSeed))
    },
    timeLimit,
  )

  test(
    'so does any other spelling that the framework takes for the same',
    async () => {
      let reached = 0
      const spellings = isHono ? decodedByHono : foldedByExpressAndKoa
      await assertOnSeeds(
        fc.asyncProperty(
          routeLists,
          valueLists,
          spellings,
          fc.nat(),
          async (routes, values, spelling, at) => {
            const accessTest = createAccessTest(
              servers,
              routes,
              build(routes, policyOf(routes), plainSetup),
              build(routes, undefined, plainSetup),
            )
            for (const route of routes) {
              const plain = plainPath(route, values)
              const target = spell(plain, [{ name: spelling, at }])
              const method = route.methods[0]?.replace('*', 'PUT') as string
              const read = isHono ? plain : target
              const meant = await reach(accessTest, routes, { method, target, headers: [] }, read, semantics)
              if (meant === route && target !== plain) reached++
            }
          },
        ),
        spellingRunsPerSeed,
      )
      expect(reached).toBeGreaterThan(runsOf(spellingRunsPerSeed) / 2)
    },
    timeLimit,
  )
})

/** Has the owner of the right to it make a request that means some handler; which one. */
async function reach(
  accessTest: AccessTest,
  routes: readonly DeclaredRoute[],
  request: RawRequest,
  read: string,
  semantics: Semantics,
): Promise<DeclaredRoute | undefined> {
  const meant = await accessTest.handlerFor(request)
  if (meant === undefined || !mustMatch(routes, request.method, read, meant, semantics)) return undefined
  const { status, answer } = await accessTest.call(request, meant)
  const { method, target } = request
  expect({ method, target, status, key: answer?.key }).toEqual({
    method,
    target,
    status: 200,
    key: meant.key,
  })
  if (meant.access !== 'public') expect(answer?.grant?.route).toBe(pathOf(meant))
  return meant
}
