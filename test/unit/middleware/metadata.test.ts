import cors from 'cors'
import express from 'express'
import { afterEach, describe, expect, test } from 'vitest'
import { frameworks, type RunningApp } from '../../../fixtures/frameworks.js'
import { AUDIENCE, ISSUER, issuerJwks } from '../../../fixtures/kit.js'
import { ajwt } from '../../../middleware/express.js'
import { createVerifier, type Policy } from '../../../src/index.js'
import { listen } from '../../support/listen.js'

const policy: Policy = {
  issuer: { url: ISSUER, jwks: issuerJwks() },
  audience: `${AUDIENCE}/api`,
  routes: { 'GET /orders': 'authenticated' },
}

const preflight = {
  method: 'OPTIONS',
  headers: {
    origin: 'https://inspector.example.com',
    'access-control-request-method': 'GET',
    'access-control-request-headers': 'mcp-protocol-version',
  },
}

const paths = ['/.well-known/oauth-protected-resource', '/.well-known/oauth-protected-resource/api']

describe.each(Object.entries(frameworks))('the metadata on %s', (_, start) => {
  const running: RunningApp[] = []
  afterEach(async () => {
    for (const app of running.splice(0)) await app.close()
  })

  test.each(paths)('can be read by pages of any origin: %s', async (path) => {
    const app = await start({ policies: [policy], routes: [] })
    running.push(app)
    const asked = await fetch(app.origin + path, preflight)
    expect([asked.status, await asked.text()]).toEqual([204, ''])
    expect(Object.fromEntries(asked.headers)).toMatchObject({
      'access-control-allow-origin': '*',
      'access-control-allow-methods': 'GET, HEAD',
      'access-control-allow-headers': '*',
    })
    const answer = await fetch(app.origin + path, { headers: { origin: preflight.headers.origin } })
    expect([answer.status, answer.headers.get('access-control-allow-origin')]).toEqual([200, '*'])
    expect(await answer.json()).toMatchObject({ resource: `${AUDIENCE}/api` })
  })

  test('opens no other path, and no other method', async () => {
    const app = await start({ policies: [policy], routes: [] })
    running.push(app)
    expect((await fetch(`${app.origin}/.well-known/oauth-protected-resource/other`, preflight)).status).toBe(
      401,
    )
    expect((await fetch(`${app.origin}/orders`, preflight)).status).toBe(401)
    const refused = await fetch(app.origin + paths[0], { method: 'DELETE' })
    expect([refused.status, refused.headers.get('access-control-allow-origin')]).toEqual([401, null])
  })
})

test('a CORS helper in front keeps its word on who may read the metadata', async () => {
  const origin = 'https://agents.example.com'
  const app = express()
    .use(cors({ origin, credentials: true }))
    .use(ajwt(policy))
  const server = await listen(app)
  const answer = await fetch(server.origin + paths[0], { headers: { origin } })
  expect([answer.status, answer.headers.get('access-control-allow-origin')]).toEqual([200, origin])
  server.close()
})

describe('the members of the metadata', () => {
  test('are left out where there is nothing in them', () => {
    expect(createVerifier(policy).metadata()).toEqual({
      resource: `${AUDIENCE}/api`,
      authorization_servers: [ISSUER],
      bearer_methods_supported: ['header'],
      dpop_signing_alg_values_supported: expect.arrayContaining(['ES256']),
      dpop_bound_access_tokens_required: true,
    })
  })
})
