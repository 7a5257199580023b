import { createHash } from 'node:crypto'
import { createLocalJWKSet, decodeJwt, type JSONWebKeySet, jwtVerify } from 'jose'
import { afterAll, describe, expect, it } from 'vitest'
import { startAuthorizationServer } from '../../../fixtures/authorization-server/server.js'
import { type AgentDefinition, agentChecksum } from '../../../src/agent/index.js'
import { ORDERS, refunder, refundRequest, SCOPES, shortHash, startWithAgents } from '../../support/agents.js'
import { acceptedElsewhere, newKey, registerClient, thumbprintOf } from '../../support/independent-client.js'

const { server, client } = await startWithAgents()
const key = await newKey()
afterAll(() => server.close())

describe('discovery and dynamic registration', () => {
  it('publishes its keys, and only the public half', async () => {
    const { keys } = (await (await fetch(String(client.as.jwks_uri))).json()) as JSONWebKeySet
    expect(keys).toHaveLength(1)
    expect(keys[0]).toMatchObject({ kty: 'EC', crv: 'P-256', kid: 'as-1', use: 'sig' })
    expect(keys[0]).not.toHaveProperty('d')
  })

  it('registers a client for the grant (RFC 7591)', () => {
    expect(client.clientId).toBeTruthy()
    expect(client.metadata.client_secret).toBeTruthy()
    expect(client.as.grant_types_supported).toContain('urn:ietf:params:oauth:grant-type:agent_checksum')
  })
})

describe('the agent checksum', () => {
  it('is the checksum of this exact text, however prompt and tools are laid out', async () => {
    const text =
      '{"config":{"a":1,"b":[true,null]},"id":"x","prompt":"Be kind.\\nBe \u00e9xact.",' +
      '"tools":[{"description":"second","name":"a","parameters":{"type":"object"}},' +
      '{"description":"first","name":"b","parameters":{}}]}'
    const laidOut: AgentDefinition = {
      id: 'x',
      prompt: '\r\n  Be kind. \r\n\n\tBe e\u0301xact.\r',
      tools: [
        { name: 'b', description: 'first', parameters: {} },
        { parameters: { type: 'object' }, name: 'a', description: 'second' },
      ],
      config: { b: [true, null], a: 1 },
    }
    const digest = createHash('sha256').update(text, 'utf8').digest('hex')
    expect(await agentChecksum(laidOut)).toBe(`sha256:${digest}`)
  })
})

describe('an honest agent', () => {
  it('gets an RFC 9068 token that is bound to its key and says what it is for', async () => {
    const { token, response } = await client.requestToken(refundRequest(), key)
    expect(response?.token_type).toBe('dpop')
    const jwks = (await (await fetch(String(client.as.jwks_uri))).json()) as JSONWebKeySet
    const { payload, protectedHeader } = await jwtVerify(String(token), createLocalJWKSet(jwks), {
      typ: 'at+jwt',
      issuer: server.issuer,
      audience: ORDERS,
    })
    expect(protectedHeader.alg).toBe('ES256')
    expect(payload).toMatchObject({
      sub: 'refunder',
      client_id: client.clientId,
      scope: 'orders:refund',
      jti: expect.any(String),
      cnf: { jkt: await thumbprintOf(key) },
      intent: {
        workflow_id: 'refund',
        workflow_step: 'issue',
        executed_by: 'refunder',
        initiated_by: 'refunder',
        delegation_chain: shortHash('refunder'),
        step_sequence_hash: shortHash('look'),
      },
      agent_proof: {
        agent_checksum: await agentChecksum(refunder),
        registration_id: server.registry.registrations('refunder')[0]?.registrationId,
      },
    })
    expect(Number(payload.exp) - Number(payload.iat)).toBeLessThanOrEqual(300)
  })

  it('gets a token that a verifier of another make accepts', async () => {
    const { token } = await client.requestToken(refundRequest(), key)
    const claims = await acceptedElsewhere(client.as, String(token), key, `${ORDERS}/orders/17`)
    expect(claims).toMatchObject({ sub: 'refunder', client_id: client.clientId })
  })

  it('may take or leave an optional step', async () => {
    const { token } = await client.requestToken(refundRequest({ completed_steps: 'look ask' }), key)
    expect(decodeJwt(String(token))).toMatchObject({ intent: { step_sequence_hash: shortHash('look|ask') } })
  })

  it('carries the authentication of the person who approved the request', async () => {
    const intent_hash = createHash('sha256').update('refund order 17').digest('base64url')
    const auth_time = Math.floor(Date.now() / 1000) - 30
    const approval = { user: 'user:alice', intentHash: intent_hash, agentId: 'refunder', acr: 'phr' }
    server.registry.approve({ ...approval, workflowId: 'refund', amr: ['hwk'], authTime: auth_time })
    const { token } = await client.requestToken(refundRequest({ intent_hash }), key)
    const intent = { initiated_by: 'user:alice', executed_by: 'refunder', intent_hash }
    expect(decodeJwt(String(token))).toMatchObject({ acr: 'phr', amr: ['hwk'], auth_time, intent })
  })

  it('carries what exactly the person approved (RFC 9396), and nothing where nobody said so', async () => {
    const ask = async (text: string, details?: [{ type: string; order: string }]) => {
      const intent_hash = createHash('sha256').update(text).digest('base64url')
      const approval = { user: 'user:alice', intentHash: intent_hash, agentId: 'refunder', acr: 'phr' }
      server.registry.approve({ ...approval, amr: ['hwk'], authTime: 1, ...(details && { details }) })
      return decodeJwt(String((await client.requestToken(refundRequest({ intent_hash }), key)).token))
    }
    const details: [{ type: string; order: string }] = [{ type: 'refund', order: '17' }]
    expect(await ask('refund order 17, just that', details)).toMatchObject({ authorization_details: details })
    expect(await ask('refund something')).not.toHaveProperty('authorization_details')
  })

  it('answers a nonce challenge (RFC 9449 section 8)', async () => {
    const strict = await startAuthorizationServer({ resources: { [ORDERS]: SCOPES }, requireNonce: true })
    try {
      const other = await registerClient(strict.issuer)
      const checksum = await agentChecksum(refunder)
      await strict.registry.register({ definition: refunder, checksum, scopes: SCOPES })
      strict.registry.permit(other.clientId, 'refunder')
      const params = {
        agent_id: 'refunder',
        agent_checksum: checksum,
        scope: 'orders:read',
        resource: ORDERS,
      }
      expect((await other.requestToken(params, key)).token).toBeTruthy()
    } finally {
      await strict.close()
    }
  })
})
