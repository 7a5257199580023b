import { createServer } from 'node:http'
import express from 'express'
import { describe, expect, test } from 'vitest'
import { defaultPolicy } from '../../fixtures/conformance/policy.js'
import { createKit, plainRequest } from '../../fixtures/kit.js'
import * as forExpress from '../../middleware/express.js'
import type { Policy, RouteRule } from '../../src/index.js'
import { ask } from '../support/ask.js'
import { verifierFor } from '../support/verify.js'

const guarded: RouteRule = { scope: 'admin' }
const kit = createKit()

describe('a spelling that is no method of HTTP’s has no rule', () => {
  test.each(['get', 'Get', 'post', '(ANY)', '*', '', ' GET', 'GET ', 'GET\n', 'GET,POST', '__proto__'])(
    '%j',
    async (method) => {
      const routes = { '* /x': 'public', 'GET /orders/:id': guarded, 'POST /x': guarded } as const
      for (const unmatched of ['deny', 'authenticate', 'public'] as const) {
        const { outcome } = verifierFor(kit, { unmatched, routes })
        for (const path of ['/x', '/orders/42', '/nowhere']) {
          expect(await outcome(plainRequest(method, path))).toBe('credentials_missing')
        }
      }
    },
  )

  test('in Express, whose router folds the letters of a method', async () => {
    const app = express()
    app.use(forExpress.ajwt({ ...defaultPolicy(), routes: { '* /x': 'public', 'POST /x': guarded } }))
    app.post('/x', (_req, res) => void res.end('guarded'))
    app.get('/x', (_req, res) => void res.end('open'))
    // Node itself lets no such method in; something before the app may.
    const folding = (method: string) =>
      createServer((req, res) => {
        req.method = method
        app(req, res)
      }).listeners('request')[0] as Parameters<typeof ask>[0]
    expect(await ask(folding('GET'), plainRequest('GET', '/x'))).toMatchObject({
      status: 200,
      content: 'open',
    })
    expect(await ask(folding('post'), plainRequest('GET', '/x'))).toMatchObject({ status: 401 })
  })
})

test('a method that every path could answer has the rule of "*", not that of another one', async () => {
  const { outcome } = verifierFor(kit, { routes: { '* /x': 'public', 'POST /x': guarded } })
  expect(await outcome(plainRequest('PURGE', '/x'))).toBe('public')
  expect(await outcome(plainRequest('M-SEARCH', '/x'))).toBe('public')
})

describe('a method override in the query, behind the middleware', () => {
  const policy: Policy = {
    ...defaultPolicy(),
    routes: { 'POST /x': 'public', 'DELETE /x': guarded, 'REPORT /x': guarded },
  }

  function build(isGuarded: boolean) {
    const app = express()
    app.set('query parser', 'extended')
    if (isGuarded) app.use(forExpress.ajwt(policy))
    app.use((req, _res, next) => {
      // As some do it: a list counts by its text, and blanks around a name are none of it.
      const { _method: method } = req.query
      if (method !== undefined) req.method = String(method).trim().toUpperCase()
      next()
    })
    app.post('/x', (_req, res) => void res.end('open'))
    app.delete('/x', (_req, res) => void res.end('guarded'))
    app.report('/x', (_req, res) => void res.end('guarded'))
    return app
  }

  test.each([
    '_method=DELETE',
    '_%6dethod=DELETE',
    '%5Fmetho%64=delete',
    '_method=REPORT',
    '_method=report&a=b',
    '_method[]=DELETE',
    '_method%5B0%5D=DELETE',
    '_method=%20DELETE+',
    '[_method]=DELETE',
    '%5b_method%5D=DELETE',
    '[_%6dethod][]=DELETE',
    'a&&=&_method=DELETE',
  ])('%s', async (query) => {
    expect(await ask(build(false), plainRequest('POST', `/x?${query}`))).toMatchObject({ content: 'guarded' })
    expect(await ask(build(true), plainRequest('POST', `/x?${query}`))).toMatchObject({
      status: 401,
      content: 'credentials_missing',
    })
  })

  test.each([
    '',
    '?a=%41',
    '?_method=POST',
    '?_method=post',
    '?_method=%2e',
    '?_method=%ff',
    '?_method',
    '?a_method=DELETE',
    '?_methods=DELETE',
    '?a=_method=DELETE',
    '?_metho%=DELETE',
  ])('not %j', async (query) => {
    const { outcome } = verifierFor(kit, { routes: policy.routes })
    expect(await outcome(plainRequest('POST', `/x${query}`))).toBe('public')
  })
})

test.each([
  'access_token=x',
  'access_token',
  'access_token[]=x',
  'access_token%5B%5D=x',
  '%61ccess_token[0]=x',
  '[access_token]=x',
  'a=b&%5baccess%5Ftoken%5d=x',
])('a token in the query as well, spelled %s, makes the credentials ambiguous', async (query) => {
  const { outcome } = verifierFor(kit)
  expect(await outcome(kit.call({ path: `/orders/42?${query}` }))).toBe('credentials_ambiguous')
  expect(await outcome(plainRequest('GET', `/feed?${query}`))).toBe('credentials_missing')
  expect(await outcome(kit.call({ path: '/orders/42?access_tokens=x' }))).toBe('allow')
})
