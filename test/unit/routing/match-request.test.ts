import { describe, expect, test } from 'vitest'
import {
  ask,
  askWithToken,
  express,
  hono,
  routeOf,
  scoped,
  verifierOf,
} from '../../support/routes/questions.js'
import { asExpress, asHono } from '../../support/routes/reference.js'
import { fieldsOf } from '../../support/routes/tokens.js'

describe('a request with only method and URL, for an unknown framework', () => {
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
  test.each(plain)('%s %s matches %s…', async (method, url, route) => {
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
  test.each(ambiguous)('%j is undeclared, whatever `unmatched` says', async (url) => {
    const decision = await ask(verifier, 'GET', url)
    expect(decision).toMatchObject({ outcome: 'deny', code: 'credentials_missing' })
    expect(routeOf(decision)).toBeUndefined()
    expect(await askWithToken(verifier, 'GET', url)).toMatchObject({
      code: 'route_not_declared',
      status: 403,
    })
  })

  test('a path is undeclared if the part before a semicolon is another route', async () => {
    const two = verifierOf({ 'GET /admin': scoped, 'GET /:kind/:id': 'public' }, { unmatched: 'public' })
    for (const url of ['/admin;/x', '/admin;a=b/x', '/admin;']) {
      expect(await askWithToken(two, 'GET', url)).toMatchObject({ code: 'route_not_declared' })
    }
    expect(routeOf(await ask(two, 'GET', '/admin;/x', { routing: asExpress }))).toBe('/:kind/:id')
    expect(routeOf(await ask(two, 'GET', '/x/a;b'))).toBe('/:kind/:id')
  })

  test('a path is undeclared if an encoded letter leads to two handlers', async () => {
    const two = verifierOf({ 'GET /orders/:id': scoped, 'GET /:kind/:id': 'public' })
    expect(await askWithToken(two, 'GET', '/%6frders/1')).toMatchObject({ code: 'route_not_declared' })
    expect(routeOf(await askWithToken(two, 'GET', '/%6frders/1', asExpress))).toBe('/:kind/:id')
    const decoded = { ...asHono, path: '/orders/1', decoded: true }
    expect(routeOf(await askWithToken(two, 'GET', '/%6frders/1', decoded))).toBe('/orders/:id')
  })

  test('a rewritten path is checked in the same way', async () => {
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

  test('a parameter or a wildcard never matches the empty segment of a doubled slash', async () => {
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

  test('`unmatched` applies to a path that is no spelling of a declared path', async () => {
    for (const url of ['/', '/other', '/orders', '/orders/1/items', '/orders.json', '/.well-known/x']) {
      expect(await ask(verifier, 'GET', url)).toEqual({ outcome: 'public' })
    }
    const authenticated = verifierOf({ 'GET /orders/:id': scoped }, { unmatched: 'authenticate' })
    expect(await ask(authenticated, 'GET', '/other')).toMatchObject({ code: 'credentials_missing' })
    expect(await askWithToken(authenticated, 'GET', '/other')).toMatchObject({ outcome: 'allow' })
    const denying = verifierOf({ 'GET /orders/:id': scoped })
    expect(await askWithToken(denying, 'GET', '/other')).toMatchObject({ code: 'route_not_declared' })
  })

  test('a request is undeclared if its method is not a method of HTTP', async () => {
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
  test.each(overrides)('a POST is undeclared if %o%s override its method', async (headers, query) => {
    const decision = await ask(verifier, 'POST', `/orders/1${query}`, { headers })
    expect(decision).toMatchObject({ outcome: 'deny', code: 'credentials_missing' })
    expect(routeOf(decision)).toBeUndefined()
  })

  test('an override with the same method is ignored', async () => {
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

  test('an override that was applied before is ignored, and the rule is that of the new method', async () => {
    const headers = { 'x-http-method-override': 'GET' }
    const routing = { ...express, path: '/orders/1', method: 'GET' }
    const decision = await ask(verifier, 'POST', '/orders/1', { headers, routing })
    expect(decision).toMatchObject({ code: 'credentials_missing', route: '/orders/:id' })
    const other = { ...routing, method: 'DELETE' }
    expect(routeOf(await ask(verifier, 'POST', '/orders/1', { headers, routing: other }))).toBeUndefined()
  })
})

describe('the most specific of the matching routes applies', () => {
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

  test('a `*` matches at least one segment; in Hono also none', async () => {
    const verifier = verifierOf({ 'GET /a/*': 'public', 'GET /:x': scoped })
    expect(routeOf(await ask(verifier, 'GET', '/a', { routing: express }))).toBe('/:x')
    expect(routeOf(await ask(verifier, 'GET', '/a/b', { routing: express }))).toBe('/a/*')
    const alone = verifierOf({ 'GET /a/*': 'public', 'GET /*': scoped })
    expect(routeOf(await ask(alone, 'GET', '/a', { routing: hono }))).toBe('/a/*')
    expect(routeOf(await ask(alone, 'GET', '/', { routing: hono }))).toBe('/*')
    expect(routeOf(await ask(alone, 'GET', '/', { routing: express }))).toBeUndefined()
  })
})
