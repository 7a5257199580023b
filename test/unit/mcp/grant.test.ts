import { expect, test } from 'vitest'
import { defaultPolicy } from '../../../fixtures/conformance/policy.js'
import { createKit } from '../../../fixtures/kit.js'
import { createVerifier, type Grant } from '../../../src/index.js'
import { mcpAuthInfo, mcpGrant, sessionOwner } from '../../../src/mcp/index.js'

async function grantWith(claims: Record<string, unknown>): Promise<Grant> {
  const kit = createKit()
  const verifier = createVerifier(
    { ...defaultPolicy(), routes: { 'POST /mcp': 'authenticated' } },
    { now: () => kit.now },
  )
  const { method, url, headers } = kit.call({ method: 'POST', path: '/mcp', token: { claims } })
  const decision = await verifier.verify({
    method,
    url,
    headers: new Headers(headers.map(([n, v]) => [n, v])),
  })
  if (decision.outcome !== 'allow') throw new Error(JSON.stringify(decision))
  return decision.grant
}

test('the owner of a session is issuer, subject, agent and initiator, and no part of a token', async () => {
  const first = await grantWith({ jti: 'first' })
  const { issuer, subject, agent, intent } = first
  expect(JSON.parse(sessionOwner(first))).toEqual([issuer, subject, agent.id, intent.initiatedBy])
  expect(sessionOwner(await grantWith({ jti: 'second' }))).toBe(sessionOwner(first))
  expect(sessionOwner({ ...first, intent: { ...intent, initiatedBy: undefined } })).toBe(
    JSON.stringify([issuer, subject, agent.id, null]),
  )
})

test('the SDK gets the grant, and never the token', async () => {
  const grant = await grantWith({ scope: 'orders:read orders:refund', client_id: 'desktop' })
  expect(mcpAuthInfo(grant)).toEqual({
    token: '',
    clientId: 'desktop',
    scopes: ['orders:read', 'orders:refund'],
    expiresAt: grant.token.expiresAt,
    extra: { ajwt: grant },
  })
  expect(mcpAuthInfo({ ...grant, claims: {} }).clientId).toBe(grant.agent.id)
})

test('a handler finds the grant in what the SDK hands to it, and no other object', async () => {
  const grant = await grantWith({})
  expect(mcpGrant(mcpAuthInfo(grant))).toBe(grant)
  const others = [undefined, {}, { extra: undefined }, { extra: {} }, { extra: { ajwt: 'x' } }]
  for (const other of [...others, { extra: { ajwt: { ...grant } } }]) expect(mcpGrant(other)).toBeUndefined()
})
