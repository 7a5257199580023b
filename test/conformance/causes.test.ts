import { afterAll, describe, expect, test } from 'vitest'
import { groups } from '../../fixtures/conformance/index.js'
import { type Row, stepsOf } from '../../fixtures/conformance/row.js'
import { setupOf } from '../../fixtures/conformance/run.js'
import type { Kit } from '../../fixtures/kit.js'
import type { DecisionFacts, DenialCode, VerifierOptions } from '../../src/index.js'
import { shareByPolicy } from '../support/conformance/shared.js'

/** Codes that have one cause only, which the code itself tells. */
const selfEvident: ReadonlySet<DenialCode> = new Set([
  'token_reused',
  'proof_missing',
  'proof_token_mismatch',
  'proof_signature_invalid',
  'proof_replayed',
  'delegation_signature_invalid',
])

/** Codes that no claim decides, but the request, a store or the app itself. */
const withoutClaim: ReadonlySet<DenialCode> = new Set([
  'limit_exceeded',
  'limits_unavailable',
  'not_authorized',
  'authorizer_unavailable',
  'route_not_declared',
  'token_revoked',
  'proof_malformed',
  'replay_store_unavailable',
  'revocations_unavailable',
  'internal_error',
])

interface Told {
  readonly code: string
  readonly facts: DecisionFacts
}

/** Verifiers that record the denials. */
const recording = shareByPolicy((row, kit) => {
  const told: Told[] = []
  const options = (kitOfRow: Kit): VerifierOptions => ({
    ...row.options?.(kitOfRow),
    onDecision: (decision, facts) => {
      if ('code' in decision) told.push({ code: decision.code, facts })
    },
  })
  const { verifier } = setupOf({ ...row, options }, kit)
  return { verifier, told, close: () => verifier.close() }
})
afterAll(() => recording.close())

/** Passes the facts of each denial that a row causes, and the tokens, proofs and signatures of the row. */
async function recordDenials(row: Row, check: (told: readonly Told[], secrets: string[]) => void) {
  await recording.use(row, async ({ kit, verifier, told }) => {
    told.length = 0
    const secrets: string[] = []
    for (const step of stepsOf(row, kit)) {
      kit.advance(step.after ?? 0)
      const request = await step.request(kit)
      const headers: Record<string, string[]> = {}
      for (const [name, value] of request.headers) {
        headers[name.toLowerCase()] = [...(headers[name.toLowerCase()] ?? []), value]
        // Signatures and whole segments: none of these may be told.
        secrets.push(...value.split(/[ .,]/).filter((part) => part.length > 40))
      }
      const decision = await verifier.verify({ method: request.method, url: request.url, headers })
      kit.nonce = 'headers' in decision ? decision.headers['dpop-nonce'] : undefined
    }
    check(told, secrets)
  })
}

describe.each(Object.entries(groups))('the causes of refusals: %s', (_, rows) => {
  test('are there, fit for one line of a log, and without a token, a proof or a signature', async () => {
    for (const row of rows) {
      await recordDenials(row, (told, secrets) => {
        for (const { code, facts } of told) {
          const { cause } = facts
          if (cause === undefined) {
            expect([row.id, code, selfEvident.has(code as DenialCode)]).toEqual([row.id, code, true])
            continue
          }
          expect(cause.reason).not.toBe('')
          // From here on the signature holds: the issuer is known, and a claim has decided.
          if (facts.agent !== undefined) {
            expect([row.id, cause.issuer]).toEqual([row.id, expect.any(String)])
            const isDecidedByClaim = !withoutClaim.has(code as DenialCode)
            expect([row.id, code, isDecidedByClaim && cause.claim === undefined]).toEqual([
              row.id,
              code,
              false,
            ])
          }
          for (const text of Object.values(cause).map(String)) {
            expect(text.length).toBeLessThanOrEqual(128)
            expect(text).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
          }
          const line = JSON.stringify(cause)
          expect([row.id, secrets.filter((secret) => line.includes(secret))]).toEqual([row.id, []])
        }
      })
    }
  })
})
