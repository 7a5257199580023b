const assert = require('node:assert/strict')
const { test } = require('node:test')
const { createVerifier } = require('ajwt')
const { createTestIssuer } = require('ajwt/testing')
const { entries } = require('./entries.json')

const issuer = createTestIssuer()
const verifier = createVerifier({
  issuer: issuer.policyIssuer,
  audience: issuer.audience,
  routes: { 'GET /orders/:id': { scope: 'orders:read' } },
})

for (const entry of entries) {
  test(`loads ${entry}`, () => assert.ok(Object.keys(require(entry)).length > 0))
}

test('an agent reads an order', async () => {
  const headers = issuer.headers({ url: '/orders/17', agent: 'planner', scope: 'orders:read' })
  const decision = await verifier.verify({ method: 'GET', url: '/orders/17', headers })
  assert.equal(decision.outcome, 'allow')
})
