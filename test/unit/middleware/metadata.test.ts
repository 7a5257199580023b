import cors from 'cors'
import express from 'express'
import supertest from 'supertest'
import { afterEach, describe, expect, test } from 'vitest'
import { frameworks, type RunningApp } from '../../../fixtures/frameworks.js'
import { AUDIENCE, ISSUER, issuerJwks } from '../../../fixtures/kit.js'
import { ajwt } from '../../../middleware/express.js'
import { createVerifier, type Policy } from '../../../src/index.js'

const policy: Policy = {
  issuer: { url: ISSUER, jwks: issuerJwks() },
  audience: `${AUDIENCE}/api`,
  routes: { 'GET /orders': 'authenticated' },
}

const preflightHeaders = {
  origin: 'https://inspector.example.com',
  'access-control-request-method': 'GET',
  'access-control-request-headers': 'mcp-protocol-version',
}

const paths = ['/.well-known/oauth-protected-resource', '/.well-known/oauth-protected-resource/api'] as const

describe.each(Object.entries(frameworks))('the metadata on %s', (_, start) => {
  const running: RunningApp[] = []
  afterEach(async () => {
    for (const app of running.splice(0)) await app.close()
  })

  test.each(paths)('can be read by pages of any origin: %s', async (path) => {
    const app = await start({ policies: [policy], routes: [] })
    running.push(app)
    const asked = await supertest(app.origin).options(path).set(preflightHeaders).expect(204, '')
    expect(asked.headers).toMatchObject({
      'access-control-allow-origin': '*',
      'access-control-allow-methods': 'GET, HEAD',
      'access-control-allow-headers': '*',
    })
    const answer = await supertest(app.origin).get(path).set({ origin: preflightHeaders.origin }).expect(200)
    expect(answer.headers['access-control-allow-origin']).toBe('*')
    expect(answer.body).toMatchObject({ resource: `${AUDIENCE}/api` })
  })

  test('opens no other path, and no other method', async () => {
    const app = await start({ policies: [policy], routes: [] })
    running.push(app)
    const agent = supertest(app.origin)
    await agent.options(`${paths[0]}/other`).set(preflightHeaders).expect(401)
    await agent.options('/orders').set(preflightHeaders).expect(401)
    const refused = await agent.delete(paths[0]).expect(401)
    expect(refused.headers).not.toHaveProperty('access-control-allow-origin')
  })
})

test('a CORS helper in front keeps its word on who may read the metadata', async () => {
  const origin = 'https://agents.example.com'
  const app = express()
    .use(cors({ origin, credentials: true }))
    .use(ajwt(policy))
  const answer = await supertest(app).get(paths[0]).set({ origin }).expect(200)
  expect(answer.headers['access-control-allow-origin']).toBe(origin)
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
