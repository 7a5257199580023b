import { describe, expect, test } from 'vitest'
import { defaultPolicy } from '../../fixtures/conformance/policy.js'
import { requireIntent } from '../../middleware/express.js'
import { createVerifier, denials, type Policy, PolicyError, type RouteRule } from '../../src/index.js'

function placesOf(policy: unknown): string[] {
  try {
    createVerifier(policy as Policy)
  } catch (error) {
    if (error instanceof PolicyError) return error.issues.map(({ path }) => path)
    throw error
  }
  return []
}

class OwnMembers {
  scope = 'admin'
}
class Whole {
  issuer = defaultPolicy().issuer
  audience = defaultPolicy().audience
  routes = defaultPolicy().routes
  mode = 'enforce'
}

// An object that is more than its data can be read as less than it says: a Map as no conditions at all.
describe('a policy is plain data, and what is not is refused where it stands', () => {
  const rules: readonly [what: string, rule: unknown][] = [
    ['an instance of a class', new OwnMembers()],
    ['a Map', new Map([['scope', 'admin']])],
    ['a Set', new Set(['admin'])],
    ['a RegExp', /admin/],
    ['a URL', new URL('https://orders.example.com')],
    ['a Date', new Date(0)],
    ['an object that inherits its condition', Object.create({ scope: 'admin' })],
    [
      'one that inherits it from what inherits nothing',
      Object.create(Object.assign(Object.create(null), { scope: 'admin' })),
    ],
  ]

  test.each(rules)('%s for a rule', (_, rule) => {
    expect(placesOf({ ...defaultPolicy(), routes: { 'GET /x': rule } })).toContain('routes["GET /x"]')
    expect(() => requireIntent(rule as RouteRule)).toThrow(PolicyError)
  })

  test.each(rules)('%s inside of a rule', (_, value) => {
    const rule = { claims: { '/amount': { equals: value } } }
    const place = 'routes["GET /x"].claims["/amount"].equals'
    expect(placesOf({ ...defaultPolicy(), routes: { 'GET /x': rule } })).toContain(place)
    expect(() => requireIntent(rule as RouteRule)).toThrow(PolicyError)
  })

  test('the whole of it, and its parts', () => {
    expect(placesOf(new Whole())).toContain('')
    expect(placesOf({ ...defaultPolicy(), routes: new Map() })).toContain('routes')
    expect(placesOf({ ...defaultPolicy(), issuer: new URL('https://as.example.com') })).toContain('issuer')
    expect(placesOf({ ...defaultPolicy(), audience: [/orders/] })).toContain('audience[0]')
    expect(placesOf({ ...defaultPolicy(), token: new Map([['maxLifetime', 60]]) })).toContain('token')
  })

  test('of any realm, and without a prototype, it is plain', () => {
    expect(placesOf(defaultPolicy())).toEqual([])
    expect(placesOf(Object.assign(Object.create(null), defaultPolicy()))).toEqual([])
    expect(placesOf(JSON.parse(JSON.stringify(defaultPolicy())))).toEqual([])
    expect(placesOf(structuredClone(defaultPolicy()))).toEqual([])
  })
})

test('a member named __proto__, which the schema passes over, is refused', () => {
  const agents = JSON.parse('{ "__proto__": { "checksums": ["sha256:x"] } }')
  expect(placesOf({ ...defaultPolicy(), agents })).toContain('agents.__proto__')
})

test.each(['https://x.example.com/%zz', 'https://x.example.com/%', 'https://x.example.com/a%4'])(
  'publicUrl %s is a wrong policy, and no crash',
  (publicUrl) => {
    expect(placesOf({ ...defaultPolicy(), publicUrl })).toEqual(['publicUrl'])
    expect(
      placesOf({ ...defaultPolicy(), publicUrl: ['https://x.example.com/%41', publicUrl] }),
    ).toHaveLength(1)
  },
)

test('a second key of one shape is named, even where its rule is wrong as well', () => {
  const routes = { 'GET /orders/:id': 'public', 'GET /orders/:order': { scoop: 'admin' } }
  const places = placesOf({ ...defaultPolicy(), routes })
  expect(places).toContain('routes["GET /orders/:order"]')
  expect(places).toContain('routes["GET /orders/:order"].scoop')
})

test('the table of denials cannot be changed', () => {
  expect(Object.isFrozen(denials)).toBe(true)
  for (const entry of Object.values(denials)) expect(Object.isFrozen(entry)).toBe(true)
  expect(() => Object.assign(denials.route_not_declared, { status: 200 })).toThrow(TypeError)
})
