import { describe, expect, test } from 'vitest'
import { type Policy, PolicyError, type Verifier } from '../../../src/index.js'
import {
  ask,
  askWithToken,
  express,
  hono,
  type Routing,
  routeOf,
  scoped,
  verifierOf,
} from '../../support/routes/questions.js'
import { asExpress, asHono, declare } from '../../support/routes/reference.js'

describe('a path with other letter case or another trailing slash than the key', () => {
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

describe('a policy that contradicts itself, or that no request can meet', () => {
  const collisions = [
    ['GET /a/:x', 'GET /a/:y'],
    ['GET /a', 'GET /A'],
    ['GET /a', 'GET /a/'],
    ['GET,POST /a', 'POST /a'],
    ['* /a', '* /A/'],
    ['GET /:x/b', 'GET /:y/B/'],
    ['GET,POST /x/*', 'DELETE,POST /X/*'],
  ] as const
  test.each(collisions)('%s and %s have the same shape', (one, other) => {
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
  ])('%s and %s have different shapes', (one, other) => {
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
  ])('%j is refused as a key', (key) => {
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
  test.each(unreachable)('%s of a rule that no request can meet is reported: %j', (place, rule, more) => {
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

describe('names of members that every object inherits', () => {
  const names = ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'valueOf']

  test.each(names)('/%s is an ordinary path', async (name) => {
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

  test('parameters can have them, except for __proto__', async () => {
    const verifier = verifierOf({ 'GET /x/:constructor/:toString': scoped })
    const decision = await askWithToken(verifier, 'GET', '/x/a/b')
    expect(decision).toMatchObject({ grant: { params: { constructor: 'a', toString: 'b' } } })
  })
})

describe('the cost of matching', () => {
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

  test('a path that is longer than servers accept is not matched', async () => {
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

  test('passes to a declared path if the policy has preflight, for any requested method', async () => {
    for (const url of ['/orders/1', '/files/a/b', '/orders/1?x=y']) {
      for (const method of ['POST', 'GET', 'x']) {
        const fields = { ...headers, 'access-control-request-method': method }
        expect(await outcomes(open, 'OPTIONS', url, fields)).toEqual(['public'])
      }
    }
    expect(await ask(open, 'OPTIONS', '/orders/1', { headers })).toEqual({ outcome: 'public' })
  })

  test('does not pass without preflight in the policy', async () => {
    expect(await outcomes(closed, 'OPTIONS', '/orders/1', headers)).toEqual(['deny'])
  })

  test('needs both fields, each of them once', async () => {
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

  test('must have the method OPTIONS', async () => {
    for (const method of ['POST', 'GET', 'HEAD', 'options', 'TRACE']) {
      expect(await outcomes(open, method, '/orders/1', headers)).toEqual(['deny'])
    }
    const overridden = { ...headers, 'x-http-method-override': 'POST' }
    expect(await outcomes(open, 'OPTIONS', '/orders/1', overridden)).toEqual(['deny'])
    const routing = { ...express, path: '/orders/1', method: 'POST' }
    const decision = await ask(open, 'OPTIONS', '/orders/1', { headers, routing })
    expect(decision).toMatchObject({ outcome: 'deny', route: '/orders/:id' })
  })

  test('does not pass to an undeclared path or to another spelling of a declared path', async () => {
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

  test('does not pass to another spelling if the framework is unknown', async () => {
    for (const url of ['/Orders/1', '/orders/1/', '/%6frders/1', '/files']) {
      expect(await ask(open, 'OPTIONS', url, { headers })).toMatchObject({ code: 'credentials_missing' })
    }
    expect(await ask(open, 'OPTIONS', '/Orders/1', { headers, routing: express })).toEqual({
      outcome: 'public',
    })
  })

  test('does not pass if a key of the policy is for OPTIONS', async () => {
    for (const url of ['/own', '/under/here', '/every']) {
      expect(await outcomes(open, 'OPTIONS', url, headers)).toEqual(['deny'])
      expect(routeOf(await ask(open, 'OPTIONS', url, { headers, routing: express }))).toBeDefined()
    }
  })
})

test('a declared key has the methods that it names', () => {
  // Most of these tests have their keys written: a wrong one would prove nothing.
  expect(declare(['GET', 'HEAD'], ['a', ':b', '*'], 'public').key).toBe('GET,HEAD /a/:b/*')
  expect(declare(['GET'], [], 'public', true).key).toBe('GET /')
  expect(declare(['GET'], ['a'], 'public', true).key).toBe('GET /a/')
})
