import { decodeJwt } from 'jose'
import { describe, expect, it } from 'vitest'
import { agentChecksum } from '../../../src/agent/index.js'
import { createVerifier, type Policy } from '../../../src/index.js'
import { createTestIssuer } from '../../../src/testing/index.js'

const issuer = createTestIssuer()

function verifierOf(routes: Policy['routes'], more: Partial<Policy> = {}) {
  const { policyIssuer, audience } = issuer
  return createVerifier({ issuer: policyIssuer, audience, routes, ...more })
}

describe('the test issuer', () => {
  it('writes a token of any claims, bound to the key of its subject', async () => {
    const verifier = verifierOf({ 'GET /orders': { scope: 'orders:read' } })
    const token = issuer.token({ sub: 'planner', scope: 'orders:read', tenant: 'one' })
    const decision = await verifier.verify({
      method: 'GET',
      url: '/orders?page=2',
      headers: issuer.headers({ url: '/orders?page=2', token }),
    })
    expect(decision).toMatchObject({
      outcome: 'allow',
      grant: {
        agent: { id: 'planner', keyThumbprint: issuer.agent('planner').keyThumbprint },
        claims: { tenant: 'one' },
      },
    })
  })

  it('leaves out a claim that is undefined, and merges the members of intent', () => {
    const claims = decodeJwt(issuer.token({ client_id: undefined, intent: { workflow_id: 'refund' } }))
    expect(claims).not.toHaveProperty('client_id')
    expect(claims.intent).toMatchObject({ workflow_id: 'refund', executed_by: 'test-agent' })
    expect(decodeJwt(issuer.token({ intent: undefined }))).not.toHaveProperty('intent')
  })

  it('registers agents with a checksum and a registration that a policy can name', async () => {
    const definition = { prompt: 'You plan.', tools: [] }
    const agent = issuer.agent('pinned', { definition, registrationId: 'reg-1' })
    expect(agent.checksum).toBe(await agentChecksum({ id: 'pinned', ...definition }))
    expect(issuer.agent('pinned')).toBe(agent)
    expect(() => issuer.agent('pinned', {})).toThrow('registered already')
    const unknown = { definition: { ...definition, model: 'm-1' } }
    expect(() => issuer.agent('other', unknown)).toThrow('agent.model is not covered')
    const agents = { pinned: { checksums: [agent.checksum], registrationIds: ['reg-1'] } }
    const verifier = verifierOf({ 'GET /': 'authenticated' }, { agents })
    const ask = async (claims = {}) =>
      verifier.verify({ method: 'GET', url: '/', headers: issuer.headers({ url: '/', agent, claims }) })
    expect(await ask()).toMatchObject({ outcome: 'allow' })
    const agent_proof = { agent_checksum: `sha256:${'0'.repeat(64)}`, registration_id: 'reg-1' }
    expect(await ask({ agent_proof })).toMatchObject({ code: 'agent_checksum_not_allowed' })
  })

  it('chains delegations, hop by hop or at once, that a verifier follows', async () => {
    const verifier = verifierOf({ 'POST /pay': { scope: 'pay', delegation: { required: true } } })
    const planner = issuer.agent('planner')
    const first = planner.delegateTo('worker', { scope: ['pay', 'read'], workflow: 'refund', ttl: 30 })
    const byHand = issuer.agent('worker').delegateTo('clerk', { scope: 'pay', after: first })
    const atOnce = issuer.delegate([planner, 'worker', 'clerk'], {
      scope: 'pay',
      workflow: 'refund',
      ttl: 30,
    })
    for (const delegation of [byHand, atOnce]) {
      const call = { method: 'POST', url: 'https://api.test/pay', delegation }
      const decision = await verifier.verify({ method: 'POST', url: '/pay', headers: issuer.headers(call) })
      expect(decision).toMatchObject({
        outcome: 'allow',
        grant: {
          agent: { id: 'clerk' },
          scopes: ['pay'],
          intent: { workflowId: 'refund', initiatedBy: 'planner' },
          delegation: [
            { from: 'planner', to: 'worker' },
            { from: 'worker', to: 'clerk' },
          ],
        },
      })
    }
    expect(() => issuer.delegate(['planner'], { scope: 'pay' })).toThrow('at least two agents')
  })

  it('attests the key of each delegator, and whether a person or an agent set the run going', () => {
    const delegation = issuer.delegate(['planner', 'worker', 'clerk'], { scope: 'pay' })
    const intentOf = (call: object) => {
      const { authorization } = issuer.headers({ url: '/pay', ...call })
      return decodeJwt(authorization.slice('DPoP '.length)).intent as Record<string, unknown>
    }
    const keys = ['planner', 'worker'].map((id) => issuer.agent(id).keyThumbprint)
    expect(intentOf({ delegation })).toMatchObject({
      initiator_type: 'agent',
      initiator_jkt: keys[0],
      delegator_jkts: keys,
    })
    expect(intentOf({})).not.toHaveProperty('delegator_jkts')
    const typeOf = (intent: object) => intentOf({ agent: 'clerk', intent }).initiator_type
    expect(typeOf({})).toBe('agent')
    expect(typeOf({ initiatedBy: 'planner' })).toBe('agent')
    expect(typeOf({ initiatedBy: 'alice' })).toBe('user')
    expect(typeOf({ initiatedBy: 'alice', initiatorType: 'agent' })).toBe('agent')
    // Claims that were written by hand stay as they were written.
    const byHand = { initiated_by: 'alice' }
    expect(intentOf({ claims: { intent: byHand } })).not.toHaveProperty('initiator_type')
    expect(decodeJwt(issuer.token({ intent: byHand })).intent).not.toHaveProperty('initiator_type')
  })

  it('writes an unsigned chain, in the form of a rule', async () => {
    const chain = ['supervisor', 'planner', 'clerk']
    const verifier = verifierOf({ 'POST /pay': { scope: 'pay', delegation: { chains: [chain] } } })
    const headers = issuer.headers({ method: 'POST', url: '/pay', scope: 'pay', intent: { chain } })
    expect(await verifier.verify({ method: 'POST', url: '/pay', headers })).toMatchObject({
      outcome: 'allow',
      grant: { agent: { id: 'clerk' }, intent: { initiatedBy: 'supervisor' }, delegation: [] },
    })
  })

  it('does not check the chains that it writes, because tests need wrong ones', async () => {
    const verifier = verifierOf({ 'POST /pay': { scope: 'pay' } })
    const first = issuer.agent('planner').delegateTo('worker', { scope: 'read' })
    const delegation = issuer.agent('worker').delegateTo('clerk', { scope: 'pay', after: first })
    const headers = issuer.headers({ method: 'POST', url: '/pay', delegation })
    expect(await verifier.verify({ method: 'POST', url: '/pay', headers })).toMatchObject({
      code: 'delegation_scope_widened',
    })
  })

  it('goes by the clock and the public URL that it is given', async () => {
    const now = () => Date.UTC(2031, 0, 1)
    const publicUrl = 'https://gateway.test/orders-api'
    const later = createTestIssuer({ issuer: 'https://as.test', audience: 'orders', publicUrl, now })
    const verifier = createVerifier(
      {
        issuer: later.policyIssuer,
        audience: 'orders',
        publicUrl,
        routes: { 'GET /orders': 'authenticated' },
      },
      { now },
    )
    const headers = later.headers({ url: '/orders' })
    expect(await verifier.verify({ method: 'GET', url: '/orders', headers })).toMatchObject({
      outcome: 'allow',
    })
    expect(() => createTestIssuer({ audience: 'orders' })).toThrow('publicUrl is needed')
  })

  it('is trusted only by a policy that names it', async () => {
    const { headers } = createTestIssuer()
    const verifier = verifierOf({ 'GET /': 'authenticated' })
    const decision = await verifier.verify({ method: 'GET', url: '/', headers: headers({ url: '/' }) })
    expect(decision).toMatchObject({ code: 'signature_invalid' })
  })
})
