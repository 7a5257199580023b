import { expect, test } from 'vitest'
import { createVerifier } from '../../../src/index.js'
import { parseRule } from '../../../src/policy/parse.js'
import { createTestIssuer } from '../../../src/testing/index.js'
import { engineOf } from '../../../src/verifier.js'

test.each([
  [{ query: { id: { exists: true } } }, 'internal_error'],
  [{ query: { id: { exists: false } } }, 'internal_error'],
  [{ body: { '/id': { exists: false } } }, 'internal_error'],
  [{ digest: true }, 'internal_error'],
  [{ digest: false }, undefined],
  [{}, undefined],
])(
  'without the request, the rule %j is no rule that is met by leaving conditions out',
  async (rule, code) => {
    const issuer = createTestIssuer()
    const verifier = createVerifier({
      issuer: issuer.policyIssuer,
      audience: issuer.audience,
      routes: { 'GET /orders': { scope: 'orders:read' } },
    })
    const url = '/orders'
    const headers = issuer.headers({ url, scope: 'orders:read' })
    const decision = await verifier.verify({ method: 'GET', url, headers })
    const engine = engineOf(verifier)
    const applied = {
      data: parseRule(rule),
      params: {},
      method: 'GET',
      isPermanent: true,
      isOncePerRequest: true,
      request: undefined,
    }
    const result = await engine.applyRule(decision, engine.requestOf(decision)?.authorized, applied)
    expect(result?.outcome === 'deny' ? result.code : undefined).toBe(code)
  },
)
