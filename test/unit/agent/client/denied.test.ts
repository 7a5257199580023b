import { describe, expect, it } from 'vitest'
import { AjwtDeniedError } from '../../../../src/agent/index.js'
import { denials } from '../../../../src/index.js'
import { deny } from '../../../support/agent/api.js'
import { json } from '../../../support/agent/http.js'
import { failure, payload, startServers } from '../../../support/agent/setup.js'

const intent = { scope: 'orders:read' }

describe('a denial', () => {
  it('is an AjwtDeniedError with its code, status and what the API asks for', async () => {
    const { api, client, orders } = await startServers()
    api.behavior.answer = (_, res) => {
      res.writeHead(401, {
        'content-type': 'application/json; charset=utf-8',
        'cache-control': 'no-store',
        'www-authenticate':
          'DPoP error="insufficient_user_authentication", acr_values="phr phrh", max_age="600", ' +
          'scope="orders:read orders:refund", algs="ES256 EdDSA", ' +
          'resource_metadata="https://orders.example.com/.well-known/oauth-protected-resource", Bearer',
      })
      res.end(
        '{"error":"insufficient_user_authentication","error_description":"Sign in again.","code":"user_authentication_required"}',
      )
      return true
    }
    const error = await failure(client().fetch(orders, { intent }), AjwtDeniedError)
    expect({ ...error }).toEqual({
      name: 'AjwtDeniedError',
      code: 'user_authentication_required',
      status: 401,
      error: 'insufficient_user_authentication',
      description: 'Sign in again.',
      retryAfter: undefined,
      resource: undefined,
      challenge: {
        scheme: 'DPoP',
        error: 'insufficient_user_authentication',
        acrValues: ['phr', 'phrh'],
        maxAge: 600,
        scope: ['orders:read', 'orders:refund'],
        algs: ['ES256', 'EdDSA'],
        resourceMetadata: 'https://orders.example.com/.well-known/oauth-protected-resource',
      },
    })
    expect(error.message).toBe(
      `401 user_authentication_required: Sign in again. (for agent planner, scope orders:read, resource ${api.origin})`,
    )
  })

  it.each(Object.entries(denials))('with the code %s', async (code, { status, error, description }) => {
    const { api, client, orders } = await startServers()
    const challenge = { 'www-authenticate': 'DPoP algs="ES256"' }
    api.behavior.answer = (_, res) => {
      const headers = { 'cache-control': 'no-store', 'retry-after': '7', ...(status < 404 ? challenge : {}) }
      json(res, status, { ...(error ? { error } : {}), error_description: description, code }, headers)
      return true
    }
    const denied = await failure(client().fetch(orders, { intent }), AjwtDeniedError)
    expect(denied).toMatchObject({ code, status, error, description, retryAfter: 7 })
    // Those that a fresh token may help against are tried once more.
    expect(api.requests).toHaveLength(['token_expired', 'token_reused'].includes(code) ? 2 : 1)
  })

  it('names the workflow and the step that it was about', async () => {
    const { issuer, api, client, orders } = await startServers()
    const run = client().startWorkflow('refund')
    const issue = () => run.step('issue', (step) => step.fetch(orders, { intent }))
    api.behavior.answer = (_, res) => deny(res, 403, 'step_out_of_order')
    await expect(issue()).rejects.toThrow(
      /^403 step_out_of_order: .*agent planner, workflow refund, step issue,/,
    )
    issuer.behavior.answer = () => ({ status: 400, body: { error: 'invalid_grant' } })
    const other = client().startWorkflow('refund')
    const refused = other.step('review', (step) => step.fetch(orders, { intent }))
    await expect(refused).rejects.toThrow(/^no token: invalid_grant \(.*workflow refund, step review,/)
  })

  it('repeats no token or proof that an API echoes', async () => {
    const { api, client, orders } = await startServers()
    for (const which of ['token', 'proof'] as const) {
      api.behavior.answer = (req, res) => {
        const { authorization = '', dpop } = req.headers
        const echo = { token: authorization.slice(5), proof: String(dpop) }[which]
        json(
          res,
          401,
          { error: echo, error_description: `${echo} ${echo.slice(0, 90)}\u0007`, code: 'token_malformed' },
          { 'cache-control': 'no-store', 'www-authenticate': `DPoP error="x", scope="${echo}"` },
        )
        return true
      }
      const error = await failure(client().fetch(orders, { intent }), AjwtDeniedError)
      expect(`${error.stack} ${JSON.stringify(error)}`).not.toMatch(/eyJ|\u0007/)
      expect(error.challenge).toBeUndefined()
    }
  })
})

describe('what is not a denial is given back, body and all', () => {
  const body = { error: 'access_denied', error_description: 'No.', code: 'claim_not_allowed' }
  const store = { 'cache-control': 'no-store' }
  it.each([
    ['a success', 200, body, store],
    ['another status', 404, body, store],
    ['an answer that may be stored', 403, body, { 'cache-control': 'max-age=5' }],
    ["an API's own error", 403, { error: 'access_denied', message: 'No.' }, store],
    ['a code in another alphabet', 403, { ...body, code: 'E_NO' }, store],
    ['a code that is no text', 403, { ...body, code: 7 }, store],
    ['no description', 403, { ...body, error_description: undefined }, store],
    ['JSON of another type', 403, body, { ...store, 'content-type': 'application/problem+json' }],
    ['more than a denial could be', 403, { ...body, pad: 'x'.repeat(20_000) }, store],
  ])('%s', async (_, status, sent, headers) => {
    const { api, client, orders } = await startServers()
    api.behavior.answer = (_, res) => {
      json(res, status, sent, headers)
      return true
    }
    const response = await client().fetch(orders, { intent })
    expect(response.status).toBe(status)
    expect(await response.json()).toEqual(JSON.parse(JSON.stringify(sent)))
  })
})

describe('a token that an API refuses', () => {
  it('is forgotten', async () => {
    const { issuer, api, client, orders } = await startServers()
    const planner = client()
    await planner.fetch(orders, { intent })
    api.behavior.answer = (_, res) => deny(res, 401, 'token_revoked')
    await failure(planner.fetch(orders, { intent }), AjwtDeniedError)
    delete api.behavior.answer
    await planner.fetch(orders, { intent })
    expect(issuer.requests).toHaveLength(2)
  })

  it('is kept where the refusal was for something else', async () => {
    const { issuer, api, client, orders } = await startServers()
    const planner = client()
    api.behavior.answer = (_, res) => deny(res, 403, 'claim_not_allowed')
    await failure(planner.fetch(orders, { intent }), AjwtDeniedError)
    delete api.behavior.answer
    await planner.fetch(orders, { intent })
    expect(issuer.requests).toHaveLength(1)
  })

  it.each(['token_expired', 'token_reused'])('for %s is replaced by a fresh one, once', async (code) => {
    const { issuer, api, client, orders } = await startServers()
    const planner = client()
    const used = new Set<string>()
    // A route that takes each token once.
    api.behavior.answer = (req, res) => {
      const id = String(payload(req.headers.authorization).jti)
      if (used.has(id)) return deny(res, 401, code)
      used.add(id)
      return false
    }
    const all = await Promise.all(Array.from({ length: 5 }, () => planner.fetch(orders, { intent })))
    expect(all.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200])
    expect(issuer.requests).toHaveLength(5)

    api.behavior.answer = (_, res) => deny(res, 401, code)
    api.requests.length = 0
    const error = await failure(planner.fetch(orders, { intent }), AjwtDeniedError)
    expect(error.code).toBe(code)
    expect(api.requests).toHaveLength(2)
  })

  it('is not replaced where it was asked for with `once`, or the body cannot be sent again', async () => {
    const { api, client, orders } = await startServers()
    api.behavior.answer = (_, res) => deny(res, 401, 'token_reused')
    const planner = client()
    await failure(planner.fetch(orders, { intent: { ...intent, once: true } }), AjwtDeniedError)
    const stream = {
      method: 'POST',
      body: new Blob(['x']).stream() as ReadableStream,
      duplex: 'half' as const,
    }
    await failure(planner.fetch(orders, { intent, ...stream }), AjwtDeniedError)
    expect(api.requests).toHaveLength(2)
  })
})
