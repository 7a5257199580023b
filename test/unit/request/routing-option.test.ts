import { expect, it } from 'vitest'
import { AUDIENCE, createKit, ISSUER, issuerJwks } from '../../../fixtures/kit.js'
import { createVerifier, type DecisionFacts, type Routing } from '../../../src/index.js'

it.each<[string, unknown, string]>([
  ['is null', null, 'routing must be an object'],
  ['is a path', '/orders/42', 'routing must be an object'],
  ['is a list', ['/orders/42'], 'routing must be an object'],
  ['has a path that is no string', { path: 42, method: 'GET' }, 'routing.path must be a string'],
])('a request whose routing %s is denied, and the cause says so', async (_, routing, reason) => {
  const kit = createKit()
  const causes: unknown[] = []
  const verifier = createVerifier(
    {
      issuer: { url: ISSUER, jwks: issuerJwks() },
      audience: AUDIENCE,
      routes: { 'GET /orders/:id': 'authenticated' },
    },
    { now: () => kit.now, onDecision: (_decision, facts: DecisionFacts) => void causes.push(facts.cause) },
  )
  const { method, url, headers } = kit.call()
  const request = { method, url, headers: Object.fromEntries(headers) }
  const decision = await verifier.verify({ ...request, routing: routing as Routing })
  expect(decision).toMatchObject({ outcome: 'deny', code: 'internal_error', status: 503 })
  expect(causes).toEqual([{ reason }])
  expect((await verifier.verify(request)).outcome).toBe('allow')
})
