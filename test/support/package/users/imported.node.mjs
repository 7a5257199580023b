import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { createVerifier } from 'ajwt'
import { createTestIssuer } from 'ajwt/testing'

const { entries } = JSON.parse(readFileSync(new URL('entries.json', import.meta.url), 'utf8'))
const issuer = createTestIssuer()
const verifier = createVerifier({
  issuer: issuer.policyIssuer,
  audience: issuer.audience,
  routes: { 'GET /orders/:id': { scope: 'orders:read' } },
})

for (const entry of entries) {
  test(`loads ${entry}`, async () => assert.ok(Object.keys(await import(entry)).length > 0))
}

test('an agent reads an order', async () => {
  const headers = issuer.headers({ url: '/orders/17', agent: 'planner', scope: 'orders:read' })
  const decision = await verifier.verify({ method: 'GET', url: '/orders/17', headers })
  assert.equal(decision.outcome, 'allow')
})
