import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createVerifier } from '../../../src/index.js'
import { ask, express, hono, routeOf } from '../../support/routes/questions.js'
import {
  type DeclaredRoute,
  findReference,
  mustMatch,
  pathOf,
  type Semantics,
} from '../../support/routes/reference.js'
import { assertOnSeeds } from '../../support/routes/seeds.js'
import { routeLists } from '../../support/routes/spellings.js'
import { policyOf } from '../../support/routes/tokens.js'

describe('the route of a random request', () => {
  const texts = ['a', 'A', 'b', 'admin', 'Admin', 'x.y', '.well-known', '__proto__', 'constructor', 'z']
  const paths = fc
    .tuple(fc.array(fc.constantFrom(...texts), { maxLength: 4 }), fc.boolean())
    .map(([segments, slash]) => `/${segments.join('/')}${slash && segments.length > 0 ? '/' : ''}`)
  const semantics: fc.Arbitrary<Semantics> = fc.record({
    caseSensitive: fc.boolean(),
    strict: fc.boolean(),
    wildcardMatchesEmpty: fc.boolean(),
  })
  const methods = fc.constantFrom('GET', 'HEAD', 'POST', 'DELETE', 'OPTIONS', 'REPORT', 'PUT')

  function nameOf(route: DeclaredRoute | undefined): string | undefined {
    return route && pathOf(route)
  }

  test('as a plain search of all routes finds it; none if it depends on settings of the router', async () => {
    await assertOnSeeds(
      fc.asyncProperty(
        routeLists,
        fc.array(paths, { minLength: 10 }),
        methods,
        semantics,
        async (...drawn) => {
          const [routes, urls, method, routing] = drawn
          const verifier = createVerifier(policyOf(routes))
          for (const url of urls) {
            const found = routeOf(await ask(verifier, method, url, { routing }))
            const expected = findReference(routes, method, url, routing)
            if (found !== undefined) expect({ url, found }).toEqual({ url, found: nameOf(expected) })
            else if (expected !== undefined)
              expect(mustMatch(routes, method, url, expected, routing)).toBe(false)
          }
        },
      ),
      60,
    )
  })

  test('for an unknown framework, only the route that is the same in all frameworks', async () => {
    await assertOnSeeds(
      fc.asyncProperty(
        routeLists,
        fc.array(paths, { minLength: 10 }),
        methods,
        async (routes, urls, method) => {
          const verifier = createVerifier(policyOf(routes))
          for (const url of urls) {
            const found = routeOf(await ask(verifier, method, url))
            if (found === undefined) continue
            const inExpress = findReference(routes, method, url, express)
            const inHono = findReference(routes, method === 'HEAD' ? 'GET' : method, url, hono)
            expect([url, nameOf(inExpress), nameOf(inHono)]).toEqual([url, found, found])
          }
        },
      ),
      60,
    )
  })
})
