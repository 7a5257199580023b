import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createVerifier, type Decision, type Policy, PolicyError, type Verifier } from '../../../src/index.js'
import {
  asExpress,
  asHono,
  type DeclaredRoute,
  declare,
  findReference,
  isSettled,
  pathOf,
  type Semantics,
} from '../../support/routes/reference.js'
import { assertOnSeeds } from '../../support/routes/seeds.js'
import { routeLists } from '../../support/routes/spellings.js'
import { fieldsOf, policyOf } from '../../support/routes/tokens.js'

type Routing = NonNullable<Parameters<Verifier['verify']>[0]['routing']>

const express: Routing = asExpress
const hono: Routing = asHono

const scoped = { scope: 'right' } as const
const everyScope = new Set(['right'])

function verifierOf(routes: Policy['routes'], settings: Partial<Policy> = {}): Verifier {
  return createVerifier({ ...policyOf([]), routes: routes ?? {}, ...settings })
}

/** A request as someone sends it who has no token. */
function ask(
  verifier: Verifier,
  method: string,
  url: string,
  more: { routing?: Routing; headers?: Record<string, string | string[]> } = {},
): Promise<Decision> {
  return verifier.verify({ method, url, headers: {}, ...more })
}

/** The same with a token that has every scope there is. */
async function askWithToken(
  verifier: Verifier,
  method: string,
  url: string,
  routing?: Routing,
): Promise<Decision> {
  const headers = Object.fromEntries(await fieldsOf(everyScope))
  return verifier.verify({ method, url, headers, ...(routing === undefined ? {} : { routing }) })
}

/** Which route was found: a refusal names it, and so does what is public. */
function routeOf(decision: Decision): string | undefined {
  return decision.outcome === 'allow' ? decision.grant.route : (decision as { route?: string }).route
}

describe('a request of which only method and URL are known', () => {
  const verifier = verifierOf(
    {
      'GET /orders/:id': scoped,
      'GET /files/*': scoped,
      'GET /Mixed/Case': scoped,
      'GET /slash/': scoped,
      'POST /orders/:id': 'public',
    },
    { unmatched: 'public' },
  )

  const plain = [
    ['GET', '/orders/1', '/orders/:id'],
    ['GET', '/orders/a%20b', '/orders/:id'],
    ['GET', '/orders/caf%C3%A9?x=../y', '/orders/:id'],
    ['GET', '/orders/x%2Fy', '/orders/:id'],
    ['GET', '/orders/%31', '/orders/:id'],
    ['GET', '/orders/a.b..c', '/orders/:id'],
    ['GET', '/orders/x%25y', '/orders/:id'],
    ['GET', '/files/a/b.txt', '/files/*'],
    ['GET', '/Mixed/Case', '/Mixed/Case'],
    ['GET', '/slash/', '/slash/'],
    ['HEAD', '/orders/1', '/orders/:id'],
    ['GET', 'https://app.example.com/orders/1', '/orders/:id'],
    ['GET', 'http://user@other.example.com:80/orders/1?x', '/orders/:id'],
    ['GET', 'http://a.bc/orders/1', '/orders/:id'],
    ['GET', '/orders/1?a;b', '/orders/:id'],
    ['GET', '/orders/1%3Bx', '/orders/:id'],
    ['GET', '/orders/1;x', '/orders/:id'],
    ['GET', '/files/a;/b', '/files/*'],
  ] as const
  test.each(plain)('%s %s is the request of %s…', async (method, url, route) => {
    expect(await ask(verifier, method, url)).toMatchObject({
      outcome: 'deny',
      code: 'credentials_missing',
      route,
    })
    expect(await askWithToken(verifier, method, url)).toMatchObject({ outcome: 'allow', grant: { route } })
  })

  // Each of them reaches some handler in one of the frameworks, or behind some proxy, and none in another.
  const ambiguous = [
    '/Orders/1',
    '/ORDERS/1',
    '/orders/1/',
    '/mixed/case',
    '/slash',
    '/files',
    '/files/',
    '//orders/1',
    '/orders//1',
    '/orders/1//',
    '/%6frders/1',
    '/%6Frders/1',
    '/orders%2f1',
    '/orders%2F1',
    '/orders%5c1',
    '/orders\\1',
    '\\orders\\1',
    '/./orders/1',
    '/x/../orders/1',
    '/orders/1/.',
    '/orders/../orders/1',
    '/%2e/orders/1',
    '/x/%2e%2E/orders/1',
    '/x/.%2e/orders/1',
    '/x%2f../orders/1',
    '/orders/..',
    '/orders/%2e%2e',
    '/orders/x%2f..%2fy',
    '/orders;a=b/1',
    '/;/orders/1',
    '/orders/1%00',
    '/orders/1%0d%0aX',
    '/orders/1\0',
    '/orders/1\t',
    '/orders/ 1',
    '/orders/1#x',
    '/orders#/1',
    '/orders/%ff',
    '/orders/%E0%A4%A',
    '/orders/%',
    '/orders/%c0%af',
    'orders/1',
    '',
    '*',
    'http:/orders/1',
    'http:orders/1',
    'https://app.example.com/Orders/1',
    'https://app.example.com//orders/1',
    'https://app.example.com\\orders/1',
    // Fastify can end a path at a semicolon.
    '/orders/1;/x',
    '/files/a;/b/../../orders',
    // Elysia takes none of the first eleven characters for the path's slash: to it, this is "/1".
    'http://a/orders/1',
    'http://a.b/orders/1',
    'https://ab/orders/1',
  ]
  test.each(ambiguous)('%j is nobody’s, whatever `unmatched` says', async (url) => {
    const decision = await ask(verifier, 'GET', url)
    expect(decision).toMatchObject({ outcome: 'deny', code: 'credentials_missing' })
    expect(routeOf(decision)).toBeUndefined()
    expect(await askWithToken(verifier, 'GET', url)).toMatchObject({
      code: 'route_not_declared',
      status: 403,
    })
  })

  test('nor is a path anybody’s of which the part before a semicolon is another route’s', async () => {
    const two = verifierOf({ 'GET /admin': scoped, 'GET /:kind/:id': 'public' }, { unmatched: 'public' })
    for (const url of ['/admin;/x', '/admin;a=b/x', '/admin;']) {
      expect(await askWithToken(two, 'GET', url)).toMatchObject({ code: 'route_not_declared' })
    }
    expect(routeOf(await ask(two, 'GET', '/admin;/x', { routing: asExpress }))).toBe('/:kind/:id')
    expect(routeOf(await ask(two, 'GET', '/x/a;b'))).toBe('/:kind/:id')
  })

  test('nor is an encoded letter anybody’s that leads to two handlers', async () => {
    const two = verifierOf({ 'GET /orders/:id': scoped, 'GET /:kind/:id': 'public' })
    expect(await askWithToken(two, 'GET', '/%6frders/1')).toMatchObject({ code: 'route_not_declared' })
    expect(routeOf(await askWithToken(two, 'GET', '/%6frders/1', asExpress))).toBe('/:kind/:id')
    const decoded = { ...asHono, path: '/orders/1', decoded: true }
    expect(routeOf(await askWithToken(two, 'GET', '/%6frders/1', decoded))).toBe('/orders/:id')
  })

  test('what a rewrite before has made of the path is held to the same', async () => {
    const rewritten = ['//orders/1', '/orders//1', '/./orders/1', '/orders/..', '/orders/1\0', 'orders/1', '']
    for (const path of rewritten) {
      for (const semantics of [asExpress, { ...asHono, decoded: true }]) {
        const decision = await ask(verifier, 'GET', '/x', { routing: { ...semantics, path } })
        expect(decision).toMatchObject({ outcome: 'deny', code: 'credentials_missing' })
        expect(routeOf(decision)).toBeUndefined()
      }
    }
    for (const path of ['/orders/%2e%2e', '/orders/%00', '/orders/%ff', '/orders/1#x', '/orders\\1']) {
      const decision = await ask(verifier, 'GET', '/x', { routing: { ...asExpress, path } })
      expect(decision).toMatchObject({ outcome: 'deny', code: 'credentials_missing' })
      expect(routeOf(decision)).toBeUndefined()
    }
    const decision = await ask(verifier, 'GET', '/x', { routing: { ...asExpress, path: '/orders/1' } })
    expect(routeOf(decision)).toBe('/orders/:id')
  })

  test('a doubled slash makes no empty segment that a parameter or a wildcard could stand for', async () => {
    const two = verifierOf({ 'GET /:p0/*': { scope: 'one' }, 'GET /*': { scope: 'two' } })
    const headers = Object.fromEntries(await fieldsOf(new Set(['one', 'two'])))
    for (const routing of [undefined, asExpress, asHono]) {
      const onWire = { method: 'GET', url: '//X1/x1', headers, ...(routing && { routing }) }
      expect(await two.verify(onWire)).toMatchObject({ code: 'route_not_declared' })
    }
    for (const semantics of [asExpress, asHono, { ...asHono, decoded: true }]) {
      const routing = { ...semantics, path: '//X1/x1' }
      expect(await two.verify({ method: 'GET', url: '/X1/x1', headers, routing })).toMatchObject({
        code: 'route_not_declared',
      })
    }
  })

  test('what is no spelling of a declared path is left to `unmatched`', async () => {
    for (const url of ['/', '/other', '/orders', '/orders/1/items', '/orders.json', '/.well-known/x']) {
      expect(await ask(verifier, 'GET', url)).toEqual({ outcome: 'public' })
    }
    const authenticated = verifierOf({ 'GET /orders/:id': scoped }, { unmatched: 'authenticate' })
    expect(await ask(authenticated, 'GET', '/other')).toMatchObject({ code: 'credentials_missing' })
    expect(await askWithToken(authenticated, 'GET', '/other')).toMatchObject({ outcome: 'allow' })
    const denying = verifierOf({ 'GET /orders/:id': scoped })
    expect(await askWithToken(denying, 'GET', '/other')).toMatchObject({ code: 'route_not_declared' })
  })

  test('what is no method of HTTP’s is nobody’s', async () => {
    for (const method of ['get', 'Get', 'GET ', ' GET', 'GET,POST', '*', '', '(ANY)', 'G\0ET', '__proto__']) {
      expect(await askWithToken(verifier, method, '/orders/1')).toMatchObject({ code: 'route_not_declared' })
    }
  })

  const overrides = [
    [{ 'x-http-method-override': 'GET' }, ''],
    [{ 'X-HTTP-Method-Override': 'delete' }, ''],
    [{ 'x-http-method': 'PURGE' }, ''],
    [{ 'x-method-override': 'GET' }, ''],
    [{ 'x-method-override': ['POST', 'GET'] }, ''],
    [{ 'x-http-method-override': 'POST, GET' }, ''],
    [{ 'x-http-method-override': 'GET, POST' }, ''],
    [{}, '?_method=GET'],
    [{}, '?a=b&_method=get&_method=POST'],
    [{}, '?_%6dethod=GET'],
    [{}, '?%5fmethod=%47ET'],
    [{}, '?_method=PURGE'],
  ] as [Record<string, string | string[]>, string][]
  test.each(overrides)('a POST that %o%s would make another method is nobody’s', async (headers, query) => {
    const decision = await ask(verifier, 'POST', `/orders/1${query}`, { headers })
    expect(decision).toMatchObject({ outcome: 'deny', code: 'credentials_missing' })
    expect(routeOf(decision)).toBeUndefined()
  })

  test('an override that changes nothing is none', async () => {
    for (const [headers, query] of [
      [{ 'x-http-method-override': 'POST' }, ''],
      [{ 'x-http-method-override': ' post ' }, ''],
      [{}, '?_method=post'],
      [{}, '?method=GET'],
    ] as const) {
      const decision = await ask(verifier, 'POST', `/orders/1${query}`, { headers })
      expect(decision).toEqual({ outcome: 'public', route: '/orders/:id' })
    }
  })

  test('an override that was applied before is none either, and the rule is that of the new method', async () => {
    const headers = { 'x-http-method-override': 'GET' }
    const routing = { ...express, path: '/orders/1', method: 'GET' }
    const decision = await ask(verifier, 'POST', '/orders/1', { headers, routing })
    expect(decision).toMatchObject({ code: 'credentials_missing', route: '/orders/:id' })
    const other = { ...routing, method: 'DELETE' }
    expect(routeOf(await ask(verifier, 'POST', '/orders/1', { headers, routing: other }))).toBeUndefined()
  })
})

describe('of the routes that match, the most specific is the one', () => {
  const table: [keys: string[], method: string, path: string, expected: string | undefined][] = [
    [['GET /a/:id', 'GET /a/me'], 'GET', '/a/me', '/a/me'],
    [['GET /a/*', 'GET /a/:id'], 'GET', '/a/x', '/a/:id'],
    [['GET /a/*', 'GET /a/me'], 'GET', '/a/me', '/a/me'],
    [['GET /*', 'GET /a/*'], 'GET', '/a/x', '/a/*'],
    [['GET /*', 'GET /:x'], 'GET', '/a', '/:x'],
    [['GET /*', 'GET /:x'], 'GET', '/a/b', '/*'],
    [['GET /:x/b', 'GET /a/:y'], 'GET', '/a/b', '/a/:y'],
    [['GET /:x/b', 'GET /a/*'], 'GET', '/a/b', '/a/*'],
    [['GET /:x/b/c', 'GET /a/:y/c', 'GET /a/b/:z'], 'GET', '/a/b/c', '/a/b/:z'],
    // Back from a more specific beginning that comes to nothing.
    [['GET /a/b/c', 'GET /:x/b/:z'], 'GET', '/a/b/d', '/:x/b/:z'],
    [['GET /a/b/c', 'GET /a/*'], 'GET', '/a/b/d', '/a/*'],
    [['GET /a/:y/c', 'GET /*'], 'GET', '/a/b/d', '/*'],
    [['POST /a/me', 'GET /a/:id'], 'GET', '/a/me', '/a/:id'],
    [['POST /a/me', 'GET /*'], 'GET', '/a/me', '/*'],
    // A path outweighs a method.
    [['* /a/me', 'GET /a/:id'], 'GET', '/a/me', '/a/me'],
    [['GET /a/:id', '* /a/*'], 'GET', '/a/x', '/a/:id'],
    [['* /a/:id', 'GET /a/*'], 'GET', '/a/x', '/a/:id'],
    [['GET /a/me', 'HEAD /a/:id'], 'HEAD', '/a/me', '/a/me'],
    // Of one path: a named method, then GET for HEAD, then any.
    [['* /a/:any', 'GET /a/:get'], 'GET', '/a/x', '/a/:get'],
    [['* /a/:any', 'GET /a/:get'], 'POST', '/a/x', '/a/:any'],
    [['* /a/:any', 'GET /a/:get', 'HEAD /a/:head'], 'HEAD', '/a/x', '/a/:head'],
    [['* /a/:any', 'GET /a/:get'], 'HEAD', '/a/x', '/a/:get'],
    [['* /a/:any', 'POST /a/:post'], 'HEAD', '/a/x', '/a/:any'],
    [['POST /a/:post'], 'HEAD', '/a/x', undefined],
    [['HEAD /a/:head'], 'GET', '/a/x', undefined],
    [['GET /a/:get'], 'OPTIONS', '/a/x', undefined],
    [['GET,POST /a/:both', 'DELETE /a/:one'], 'DELETE', '/a/x', '/a/:one'],
    [['GET,POST /a/:both', 'DELETE /a/:one'], 'POST', '/a/x', '/a/:both'],
    [['* /a/:any'], 'QUERY', '/a/x', '/a/:any'],
    [['VERSION-CONTROL /a/:x'], 'VERSION-CONTROL', '/a/x', '/a/:x'],
    [['GET /'], 'GET', '/', '/'],
    [['GET /*'], 'GET', '/a/b/c/d', '/*'],
    [['GET /a/:x'], 'GET', '/a', undefined],
    [['GET /a/:x'], 'GET', '/a/b/c', undefined],
  ]
  test.each(table)('%j, %s %s: %s', async (keys, method, path, expected) => {
    for (const order of [keys, [...keys].reverse()]) {
      const verifier = verifierOf(Object.fromEntries(order.map((key) => [key, 'public'])))
      expect(routeOf(await ask(verifier, method, path, { routing: express }))).toBe(expected)
    }
  })

  test('a `*` is one segment at least, or none in Hono', async () => {
    const verifier = verifierOf({ 'GET /a/*': 'public', 'GET /:x': scoped })
    expect(routeOf(await ask(verifier, 'GET', '/a', { routing: express }))).toBe('/:x')
    expect(routeOf(await ask(verifier, 'GET', '/a/b', { routing: express }))).toBe('/a/*')
    const alone = verifierOf({ 'GET /a/*': 'public', 'GET /*': scoped })
    expect(routeOf(await ask(alone, 'GET', '/a', { routing: hono }))).toBe('/a/*')
    expect(routeOf(await ask(alone, 'GET', '/', { routing: hono }))).toBe('/*')
    expect(routeOf(await ask(alone, 'GET', '/', { routing: express }))).toBeUndefined()
  })

  const texts = ['a', 'A', 'b', 'admin', 'Admin', 'x.y', '.well-known', '__proto__', 'constructor', 'z']
  const paths = fc
    .tuple(fc.array(fc.constantFrom(...texts), { maxLength: 4 }), fc.boolean())
    .map(([segments, slash]) => `/${segments.join('/')}${slash && segments.length > 0 ? '/' : ''}`)
  const semantics: fc.Arbitrary<Semantics> = fc.record({
    caseSensitive: fc.boolean(),
    strict: fc.boolean(),
    emptyRest: fc.boolean(),
  })
  const methods = fc.constantFrom('GET', 'HEAD', 'POST', 'DELETE', 'OPTIONS', 'REPORT', 'PUT')

  function nameOf(route: DeclaredRoute | undefined): string | undefined {
    return route && pathOf(route)
  }

  test('as the plainest search of all of them finds it, or none where settings would change it', async () => {
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
              expect(isSettled(routes, method, url, expected, routing)).toBe(false)
          }
        },
      ),
      60,
    )
  })

  test('where nothing is known of the framework, only what is one in all of them', async () => {
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

describe('a path in other letter case, or with another end, than the key has', () => {
  const sensitive = { ...asExpress, caseSensitive: true }
  const strict = { ...asExpress, strict: true }
  const more = scoped
  const less = 'authenticated'
  type Row = [routes: Policy['routes'], routing: Routing, path: string, expected: string | undefined]

  // Routers inside an app need not be told what the app was: another handler than the app's own could run.
  const rows: Row[] = [
    [{ 'GET /a/admin': more, 'GET /a/:id': less }, sensitive, '/a/ADMIN', undefined],
    [{ 'GET /a/admin': more, 'GET /a/*': less }, strict, '/a/admin/', undefined],
    [{ 'GET /a/info': less, 'GET /a/:id': more }, asExpress, '/a/INFO', undefined],
    [{ 'GET /a/info': less, 'GET /a/*': more }, asExpress, '/a/info/', undefined],
    [{ 'GET /a/info': 'public', 'GET /a/*': less }, asExpress, '/a/info/', undefined],
    [{ 'GET /a/info/': less, 'GET /a/:id': more }, asExpress, '/a/info', undefined],
    [{ 'GET /Admin': less, 'GET /:id': more }, asExpress, '/admin', undefined],
    // The letters of the first segments may be read in one way and those of the others in another.
    [{ 'GET /a/b': less, 'GET /:x/b': 'public', 'GET /a/:y': more }, asExpress, '/A/B', undefined],
    // To Express 4 a `*` may stand for nothing after a slash.
    [{ 'GET /a/files/*': more, 'GET /a/:id': less }, asExpress, '/a/files/', undefined],
    [{ 'GET /a/files/*': more, 'GET /a/:id/': less }, asExpress, '/a/files/', undefined],
    // And below a mount, after no slash as well.
    [{ 'GET /a/files/*': more, 'GET /a/:id': less }, asExpress, '/a/files', undefined],
    [{ 'GET /v1/*': more, 'GET /*': 'public' }, asExpress, '/v1', undefined],
    [{ 'GET /v1/*': more, 'GET /*': 'public' }, strict, '/v1', undefined],
    [{ 'GET /v1/*': more, 'GET /:x': less }, sensitive, '/V1', undefined],
    [{ 'GET /:tenant/*': more, 'GET /*': 'public' }, asExpress, '/v1', undefined],
    [{ 'GET /v1/*': more, '* /v1/*': 'public', '* /*': 'public' }, asExpress, '/v1', undefined],
    [{ 'GET /v1/*': more, '* /v1': less }, asExpress, '/v1', '/v1'],
    [{ 'GET /v1/*': less, 'GET /*': more }, asExpress, '/v1', '/*'],
    [{ 'GET /v1/*': more, 'GET /:x': less, 'GET /v1': less }, asExpress, '/v1', '/v1'],
    [{ 'POST /v1/*': more, 'GET /*': less }, asExpress, '/v1', '/*'],
    // Nothing is `unmatched` that some router takes for a route, however its parameters are read.
    [{ 'GET /:x/admin': more }, sensitive, '/x/ADMIN', undefined],
    [{ 'GET /:x/admin': more }, sensitive, '/x%2Fy/ADMIN', undefined],
    [{ 'GET /:x/admin': more }, strict, '/x%2Fy/admin/', undefined],
    // Two rules of which neither implies the other.
    [{ 'GET /a': { scope: 'one' }, 'GET /:x': { scope: 'other' } }, asExpress, '/A', undefined],
    [{ 'GET /a': { ...more, anonymous: true }, 'GET /:x': less }, asExpress, '/A', undefined],
    [{ 'GET /a': { ...more, mode: 'observe' }, 'GET /:x': less }, asExpress, '/A', undefined],
    // Who meets the rule of the closest meets that of any other: nothing to deny.
    [{ 'GET /a/:id': more, 'GET /*': 'public' }, asExpress, '/a/1/', '/a/:id'],
    [{ 'GET /a/:id': more, 'GET /*': 'public' }, asExpress, '/A/1', '/a/:id'],
    [{ 'GET /a/me': more, 'GET /a/:id': less }, asExpress, '/A/Me/', '/a/me'],
    [{ 'GET /a/me': less, 'GET /a/:id': less }, asExpress, '/a/ME', '/a/me'],
    [{ 'GET /a/me': less, 'GET /a/:id': more }, asExpress, '/a/me', '/a/me'],
    [{ 'GET /a/me/': less, 'GET /a/:id': more }, asExpress, '/a/me/', '/a/me/'],
    [{ 'GET /a': less, 'POST /:x': more }, asExpress, '/A/', '/a'],
    [{ 'GET /': less, 'GET /*': more }, asExpress, '/', '/'],
  ]
  test.each(rows)('%j, %o, %s: %s', async (routes, routing, path, expected) => {
    const verifier = verifierOf(routes, { unmatched: 'public' })
    const decision = await askWithToken(verifier, 'GET', path, routing)
    expect(routeOf(decision)).toBe(expected)
    if (expected === undefined) expect(decision).toMatchObject({ code: 'route_not_declared' })
  })
})

describe('a policy that could disagree with itself, or that nobody can meet', () => {
  const collisions = [
    ['GET /a/:x', 'GET /a/:y'],
    ['GET /a', 'GET /A'],
    ['GET /a', 'GET /a/'],
    ['GET,POST /a', 'POST /a'],
    ['* /a', '* /A/'],
    ['GET /:x/b', 'GET /:y/B/'],
    ['GET,POST /x/*', 'DELETE,POST /X/*'],
  ] as const
  test.each(collisions)('%s and %s are one shape', (one, other) => {
    const make = () => verifierOf({ [one]: 'public', [other]: scoped })
    expect(make).toThrow(PolicyError)
    expect(make).toThrow(other)
    expect(make).toThrow(JSON.stringify(one))
  })

  test.each([
    ['GET /a', 'POST /a'],
    ['GET /a', '* /a'],
    ['GET /a', 'HEAD /a'],
    ['GET /a/:x', 'GET /a/*'],
    ['GET /a/:x', 'GET /a/b'],
    ['GET /:x/b', 'GET /a/:y'],
  ])('%s and %s are two', (one, other) => {
    expect(() => verifierOf({ [one]: 'public', [other]: scoped })).not.toThrow()
  })

  test.each([
    'GET',
    '/a',
    'GET a',
    'GET  /a',
    'get /a',
    'GET, POST /a',
    'GET,GET /a',
    'GET,* /a',
    'GET //a',
    'GET /a//b',
    'GET /a//',
    'GET /./a',
    'GET /a/..',
    'GET /*/a',
    'GET /a*',
    'GET /a/**',
    'GET /:',
    'GET /:a-:b',
    'GET /:a/:a',
    'GET /:__proto__',
    'GET /a?',
    'GET /a?x=1',
    'GET /a#b',
    'GET /:a?',
    'GET /{a}',
    'GET /(a)',
    'GET /a+',
    'GET /[a]',
    'GET /a|b',
    'GET /^a',
    'GET /a b',
    'GET /%61',
    'GET /a%2Fb',
    'GET /caf\xe9',
    'GET /a\\b',
    'GET https://app.example.com/a',
  ])('%j can be the key of no request', (key) => {
    expect(() => verifierOf({ [key]: 'public' })).toThrow(PolicyError)
  })

  const unreachable: [place: string, rule: NonNullable<Policy['routes']>[string], more?: Partial<Policy>][] =
    [
      ['intent.step', { intent: { workflow: 'w', step: 'z' } }, { workflows: { w: { steps: ['a'] } } }],
      ['delegation.maxDepth', { delegation: { maxDepth: 5 } }],
      ['delegation.required', { delegation: { required: true, maxDepth: 0 } }],
      ['delegation.chains', { delegation: { chains: [['a', 'b', 'a']] } }],
      ['delegation.chains', { delegation: { maxDepth: 1, chains: [['a', 'b', 'c']] } }],
      ['delegation.chains', { agents: ['x'], delegation: { chains: [['a', 'b']] } }],
      ['delegation.chains', { delegation: { initiators: ['x'], chains: [['a', 'b']] } }],
      ['param', { claims: { '/order': { param: 'other' } } }],
      ['claims', { claims: { '/amount': { min: 2, max: 1 } } }],
      ['claims', { claims: { '/amount': { equals: 3, max: 1 } } }],
      ['claims', { claims: { '/amount': { exists: false, min: 1 } } }],
    ]
  test.each(unreachable)('%s of a rule that no request can meet is told: %j', (place, rule, more) => {
    let message = ''
    try {
      verifierOf({ 'POST /orders/:id': rule }, more)
    } catch (error) {
      expect(error).toBeInstanceOf(PolicyError)
      message = (error as Error).message
    }
    expect(message).toContain('POST /orders/:id')
    expect(message).toContain(place)
  })
})

describe('names that every object has', () => {
  const names = ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'valueOf']

  test.each(names)('/%s is a path like any other', async (name) => {
    const bare = verifierOf({ 'GET /a': 'public', 'GET /a/:id': scoped })
    for (const routing of [express, hono, undefined]) {
      for (const url of [`/${name}`, `/${name}/${name}`, `/a/b/${name}`]) {
        const decision = await askWithToken(bare, 'GET', url, routing)
        expect(decision).toMatchObject({ code: 'route_not_declared' })
      }
      expect(await askWithToken(bare, 'GET', `/a/${name}`, routing)).toMatchObject({
        outcome: 'allow',
        grant: { params: { id: name } },
      })
    }
    const declared = verifierOf({ [`GET /${name}`]: 'public', [`GET /x/${name}/:id`]: scoped })
    expect(await ask(declared, 'GET', `/${name}`)).toEqual({ outcome: 'public', route: `/${name}` })
    expect(routeOf(await ask(declared, 'GET', `/x/${name}/1`))).toBe(`/x/${name}/:id`)
    expect(routeOf(await ask(declared, 'GET', '/x'))).toBeUndefined()
  })

  test('parameters may have them, but for the one that would set a prototype', async () => {
    const verifier = verifierOf({ 'GET /x/:constructor/:toString': scoped })
    const decision = await askWithToken(verifier, 'GET', '/x/a/b')
    expect(decision).toMatchObject({ grant: { params: { constructor: 'a', toString: 'b' } } })
  })
})

describe('what it costs', () => {
  /** The quickest of some runs: the others have waited for something else. */
  async function millisecondsFor(run: () => Promise<unknown>): Promise<number> {
    let least = Number.POSITIVE_INFINITY
    for (let count = 0; count < 5; count++) {
      const start = performance.now()
      await run()
      least = Math.min(least, performance.now() - start)
    }
    return least
  }

  const length = 16 * 1024
  const fill = (text: string) => text.repeat(Math.floor((length - 20) / text.length))
  const long = {
    'one segment': `/${fill('a')}`,
    'many segments': fill('/a'),
    'many segments of declared names': fill('/a/b/c'),
    'letters to fold': fill('/A'),
    escapes: `/a/${fill('%41')}`,
    'escapes of four bytes': `/a/${fill('%F0%9F%98%80')}`,
    'escaped slashes': `/a/${fill('%2F')}`,
    'escaped percent signs': `/a/${fill('%25')}`,
    slashes: fill('/'),
    dots: `/a/${fill('.')}`,
    'dot segments': fill('/..'),
    'matrix parameters': fill('/;a'),
    backslashes: `/a${fill('\\')}`,
    'a tail that spoils it': `/${fill('a')}\0`,
    'a tail that is malformed': `/a/${fill('%41')}%`,
    'an absolute form without end': `http://${fill('a')}`,
    'a scheme without end': fill('a'),
    query: `/a?${fill('_method=GET&')}`,
  }
  const few = verifierOf(
    { 'GET /a/:x': scoped, 'GET /a/:x/c/*': scoped, 'GET /:a/:b/:c/d': 'public', 'GET /a/*': scoped },
    { unmatched: 'public' },
  )
  test.each(Object.entries(long))('16 KB of %s: less than 50 ms', async (_name, url) => {
    for (const routing of [undefined, express, hono]) {
      const more = routing === undefined ? {} : { routing }
      expect(await millisecondsFor(() => ask(few, 'GET', url, more))).toBeLessThan(50)
    }
  })

  test('what is longer than any server takes is not looked up at all', async () => {
    const path = `/a/${'x'.repeat(17 * 1024)}`
    for (const routing of [asExpress, asHono, { ...asHono, decoded: true, path }]) {
      const decision = await askWithToken(few, 'GET', path, routing)
      expect(decision).toMatchObject({ code: 'route_not_declared' })
    }
  })

  test('10,000 routes: less than 50 ms a request', async () => {
    const routes: Record<string, 'public'> = {}
    for (let number = 0; number < 2500; number++) {
      routes[`GET /r${number}`] = 'public'
      routes[`GET /r${number}/:id`] = 'public'
      routes[`POST,DELETE /r${number}/:id/items/*`] = 'public'
      routes[`* /:tenant/r${number}`] = 'public'
    }
    const verifier = verifierOf(routes)
    const found: [method: string, path: string, route: string | undefined][] = [
      ['GET', '/r2499', '/r2499'],
      ['GET', '/r7/x', '/r7/:id'],
      ['DELETE', '/r2400/x/items/y/z', '/r2400/:id/items/*'],
      ['PATCH', '/x/r1234', '/:tenant/r1234'],
      ['GET', '/x/none', undefined],
    ]
    for (const [method, path, route] of found) {
      // The first request of a kind makes what the others then use.
      for (const routing of [express, hono]) {
        expect(routeOf(await ask(verifier, method, path, { routing }))).toBe(route)
        expect(await millisecondsFor(() => ask(verifier, method, path, { routing }))).toBeLessThan(50)
      }
      expect(routeOf(await ask(verifier, method, path))).toBe(route)
      expect(await millisecondsFor(() => ask(verifier, method, path))).toBeLessThan(50)
    }
  })
})

describe('a CORS preflight', () => {
  const headers = { origin: 'https://page.example.com', 'access-control-request-method': 'POST' }
  const routes = {
    'POST /orders/:id': scoped,
    'OPTIONS /own': scoped,
    'GET /own': scoped,
    'OPTIONS /under/*': scoped,
    'GET /under/here': scoped,
    '* /every': scoped,
    'GET /files/*': scoped,
  } as const
  const open = verifierOf(routes, { preflight: true })
  const closed = verifierOf(routes)

  async function outcomes(
    verifier: Verifier,
    method: string,
    url: string,
    fields: object,
  ): Promise<string[]> {
    const decisions = []
    for (const routing of [undefined, express, hono]) {
      const more = routing === undefined ? {} : { routing }
      decisions.push(await ask(verifier, method, url, { headers: { ...fields }, ...more }))
    }
    return [...new Set(decisions.map(({ outcome }) => outcome))]
  }

  test('passes to a declared path where the policy says so, whatever method it asks about', async () => {
    for (const url of ['/orders/1', '/files/a/b', '/orders/1?x=y']) {
      for (const method of ['POST', 'GET', 'x']) {
        const fields = { ...headers, 'access-control-request-method': method }
        expect(await outcomes(open, 'OPTIONS', url, fields)).toEqual(['public'])
      }
    }
    expect(await ask(open, 'OPTIONS', '/orders/1', { headers })).toEqual({ outcome: 'public' })
  })

  test('does not where the policy says nothing', async () => {
    expect(await outcomes(closed, 'OPTIONS', '/orders/1', headers)).toEqual(['deny'])
  })

  test('is one only with both fields, each of them once', async () => {
    for (const fields of [
      {},
      { origin: headers.origin },
      { 'access-control-request-method': 'POST' },
      { ...headers, origin: [headers.origin, headers.origin] },
      { ...headers, 'access-control-request-method': ['POST', 'GET'] },
    ]) {
      expect(await outcomes(open, 'OPTIONS', '/orders/1', fields)).toEqual(['deny'])
    }
  })

  test('is OPTIONS and nothing else', async () => {
    for (const method of ['POST', 'GET', 'HEAD', 'options', 'TRACE']) {
      expect(await outcomes(open, method, '/orders/1', headers)).toEqual(['deny'])
    }
    const overridden = { ...headers, 'x-http-method-override': 'POST' }
    expect(await outcomes(open, 'OPTIONS', '/orders/1', overridden)).toEqual(['deny'])
    const routing = { ...express, path: '/orders/1', method: 'POST' }
    const decision = await ask(open, 'OPTIONS', '/orders/1', { headers, routing })
    expect(decision).toMatchObject({ outcome: 'deny', route: '/orders/:id' })
  })

  test('does not pass to a path that no route declares, nor to another spelling of one', async () => {
    for (const url of [
      '/',
      '/other',
      '/orders',
      '/orders/1/x',
      '//orders/1',
      '/orders/%2e%2e',
      '/orders/1%00',
    ]) {
      expect(await outcomes(open, 'OPTIONS', url, headers)).toEqual(['deny'])
    }
    expect(await outcomes(verifierOf({}, { preflight: true }), 'OPTIONS', '/', headers)).toEqual(['deny'])
  })

  test('does not pass to another spelling where the framework is unknown', async () => {
    for (const url of ['/Orders/1', '/orders/1/', '/%6frders/1', '/files']) {
      expect(await ask(open, 'OPTIONS', url, { headers })).toMatchObject({ code: 'credentials_missing' })
    }
    expect(await ask(open, 'OPTIONS', '/Orders/1', { headers, routing: express })).toEqual({
      outcome: 'public',
    })
  })

  test('does not pass where a rule of the policy is for OPTIONS itself', async () => {
    for (const url of ['/own', '/under/here', '/every']) {
      expect(await outcomes(open, 'OPTIONS', url, headers)).toEqual(['deny'])
      expect(routeOf(await ask(open, 'OPTIONS', url, { headers, routing: express }))).toBeDefined()
    }
  })
})

test('what a declared key says of its own methods is what the key says', () => {
  // Most of these tests have their keys written: a wrong one would prove nothing.
  expect(declare(['GET', 'HEAD'], ['a', ':b', '*'], 'public').key).toBe('GET,HEAD /a/:b/*')
  expect(declare(['GET'], [], 'public', true).key).toBe('GET /')
  expect(declare(['GET'], ['a'], 'public', true).key).toBe('GET /a/')
})
