import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { groups } from '../../fixtures/conformance/index.js'
import { type Row, stepsOf } from '../../fixtures/conformance/row.js'
import { setupOf } from '../../fixtures/conformance/run.js'
import type { WireRequest } from '../../fixtures/kit.js'
import {
  type Decision,
  type DenialCode,
  type Explanation,
  memoryReplayStore,
  type VerifierOptions,
  type VerifyRequest,
} from '../../src/index.js'
import { shareByPolicy } from '../support/conformance/shared.js'

/** The checks that may refuse with a code: written down a second time, on purpose. */
const checksOf: { readonly [Code in DenialCode]: readonly string[] } = {
  credentials_missing: ['request credentials'],
  scheme_unsupported: ['request credentials'],
  credentials_ambiguous: ['request credentials'],
  token_malformed: ['token form'],
  token_type_not_allowed: ['token typ', 'token kind'],
  algorithm_not_allowed: ['token alg'],
  issuer_not_trusted: ['token issuer', 'token field'],
  key_not_found: ['token key'],
  signature_invalid: ['token signature'],
  audience_mismatch: ['token audience'],
  token_expired: ['token expiry'],
  token_not_yet_valid: ['token not_before'],
  token_lifetime_exceeded: ['token lifetime'],
  claims_invalid: ['token claims', 'token expiry'],
  token_revoked: ['revocation revocation'],
  token_reused: [],
  proof_required: ['proof binding'],
  proof_key_mismatch: ['proof binding', 'proof key_binding'],
  delegation_malformed: ['delegation form'],
  delegation_too_deep: ['delegation depth'],
  delegation_signature_invalid: ['delegation signatures'],
  delegation_link_broken: ['delegation links'],
  delegation_scope_widened: ['delegation scopes'],
  delegation_expired: ['delegation times'],
  delegation_loop: ['delegation loops'],
  delegation_context_mismatch: ['delegation context'],
  delegation_hash_mismatch: ['delegation chain_hash'],
  proof_missing: ['proof field'],
  proof_malformed: ['proof field', 'proof form', 'proof typ'],
  proof_algorithm_not_allowed: ['proof alg'],
  proof_key_invalid: ['proof key', 'proof key_import'],
  proof_signature_invalid: ['proof signature'],
  proof_method_mismatch: ['proof htm'],
  proof_uri_mismatch: ['proof htu'],
  proof_stale: ['proof iat'],
  proof_token_mismatch: ['proof ath'],
  proof_replayed: [],
  proof_nonce_required: ['proof nonce'],
  user_authentication_required: ['rule user.acr', 'rule user.amr', 'rule user.maxAge'],
  scope_insufficient: ['rule scope'],
  route_not_declared: ['rule route'],
  workflow_not_allowed: ['rule intent.workflow'],
  step_not_allowed: ['rule intent.step', 'rule intent.order'],
  step_out_of_order: ['rule intent.order'],
  agent_not_allowed: ['rule agents', 'rule policy.agents'],
  agent_checksum_not_allowed: ['rule policy.agents'],
  delegation_required: ['delegation chain', 'rule delegation.required'],
  delegation_not_allowed: [
    'delegation chain',
    'rule delegation.maxDepth',
    'rule delegation.initiators',
    'rule delegation.chains',
  ],
  message_malformed: [],
  tool_not_declared: [],
  argument_not_allowed: [],
  session_not_yours: [],
  not_authorized: [],
  authorizer_unavailable: [],
  limit_exceeded: [],
  limits_unavailable: [],
  claim_not_allowed: ['rule user.sub', 'rule limit'],
  keys_unavailable: ['token key', 'token issuer'],
  replay_store_unavailable: [],
  revocations_unavailable: ['revocation revocation'],
  internal_error: ['request verifier', 'rule authorize'],
}

/** Codes of checks that use something up, which `explain` leaves out. */
const ofWriting: ReadonlySet<string> = new Set([
  'proof_replayed',
  'token_reused',
  'replay_store_unavailable',
  'limit_exceeded',
  'limits_unavailable',
  'not_authorized',
  'authorizer_unavailable',
])

interface Explained {
  readonly request: VerifyRequest
  readonly decision: Decision
  readonly before: Explanation
  readonly after: Explanation
  readonly told: readonly string[]
}

/** Every request of a row: explained before it is decided on, and again when the verdict is in the caches. */
async function explainRow(row: Row): Promise<Explained[]> {
  const explained: Explained[] = []
  await verifiers.use(row, async ({ verifier, told, kit }) => {
    for (const step of stepsOf(row, kit)) {
      kit.advance(step.after ?? 0)
      const request = toRequest(await step.request(kit))
      const heard = told.length
      const before = await verifier.explain(request)
      const toldByExplain = told.slice(heard)
      const decision = await verifier.verify(request)
      const after = await verifier.explain(request)
      explained.push({ request, decision, before, after, told: toldByExplain })
      kit.nonce = 'headers' in decision ? decision.headers['dpop-nonce'] : undefined
    }
  })
  return explained
}

/** Verifiers with a list of the hooks that were called. */
const verifiers = shareByPolicy((row, kit) => {
  const told: string[] = []
  const inner = row.options?.(kit)
  const store = inner?.replayStore ?? memoryReplayStore({ now: () => kit.now })
  const options = (): VerifierOptions => ({
    ...inner,
    replayStore: {
      remember: (key, ttl) => {
        told.push('replayStore')
        return store.remember(key, ttl)
      },
    },
    onDecision: () => void told.push('onDecision'),
  })
  const { verifier } = setupOf({ ...row, options }, kit)
  return { verifier, told, close: () => verifier.close() }
})

function toRequest({ method, url, headers: written }: WireRequest): VerifyRequest {
  const headers: Record<string, string[]> = {}
  for (const [name, value] of written)
    headers[name.toLowerCase()] = [...(headers[name.toLowerCase()] ?? []), value]
  return { method, url, headers }
}

const outcomesOf = ({ stages }: Explanation) =>
  stages.flatMap(({ stage, checks }) =>
    checks.map(({ name, outcome }) => [`${stage} ${name}`, outcome] as const),
  )

const shapeOf = (decision: Decision) => ({
  outcome: decision.outcome,
  ...('code' in decision ? { code: decision.code, stage: decision.stage, route: decision.route } : {}),
})

afterAll(() => verifiers.close())

describe.each(Object.entries(groups))('explain: %s', (_, rows) => {
  const explained = new Map<Row, Explained[]>()
  beforeAll(async () => {
    for (const row of rows) explained.set(row, await explainRow(row))
  })

  test('comes to the decision of verify, with one failed check that fits', () => {
    for (const row of rows) {
      for (const { decision, before, told } of explained.get(row) ?? []) {
        const code = 'code' in decision ? decision.code : undefined
        if (code !== undefined && ofWriting.has(code)) continue
        expect([row.id, shapeOf(before.decision)]).toEqual([row.id, shapeOf(decision)])
        expect([row.id, told]).toEqual([row.id, []])

        const outcomes = outcomesOf(before)
        const failed = outcomes.filter(([, outcome]) => outcome === 'failed').map(([name]) => name)
        if (code === undefined) expect([row.id, failed]).toEqual([row.id, []])
        else {
          expect([row.id, code, failed.length]).toEqual([row.id, code, 1])
          const fits = checksOf[code].includes(failed[0] ?? '') || failed[0]?.startsWith('rule claims[')
          expect([row.id, code, failed[0], fits]).toEqual([row.id, code, failed[0], true])
        }
        const at = outcomes.findIndex(([, outcome]) => outcome === 'failed')
        const [passed, later] = at < 0 ? [outcomes, []] : [outcomes.slice(0, at), outcomes.slice(at + 1)]
        const isLeft = (outcome: string) => outcome === 'passed' || outcome === 'not_checked'
        if (decision.outcome === 'allow' || code !== undefined)
          expect([row.id, passed.filter(([, outcome]) => !isLeft(outcome))]).toEqual([row.id, []])
        expect([row.id, later.filter(([, outcome]) => outcome !== 'not_reached')]).toEqual([row.id, []])
      }
    }
  })

  test('explains a cached verdict as one that is not cached', () => {
    for (const row of rows) {
      for (const { decision, before, after } of explained.get(row) ?? []) {
        if (decision.outcome !== 'allow') continue
        expect([row.id, after.stages]).toEqual([row.id, before.stages])
      }
    }
  })

  test('says what was expected, why, and what to do, and no token, proof or signature', () => {
    for (const row of rows) {
      for (const { request, before } of explained.get(row) ?? []) {
        const secrets = Object.values(request.headers as Record<string, string[]>)
          .flat()
          .flatMap((value) => value.split(/[ .,]/).filter((part) => part.length > 40))
        const text = JSON.stringify(before.stages)
        expect([row.id, secrets.filter((secret) => text.includes(secret))]).toEqual([row.id, []])
        for (const { checks } of before.stages) {
          for (const check of checks) {
            expect(check.clause).toMatch(/^(RFC \d+|draft-)/)
            for (const value of [check.expected, check.found, check.reason].map(String)) {
              expect(value.length).toBeLessThanOrEqual(128)
              expect(value).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
            }
            if (check.outcome !== 'failed') continue
            expect([row.id, check.reason !== '', /^(At the|Nobody)/.test(check.advice ?? '')]).toEqual([
              row.id,
              true,
              true,
            ])
            expect(check.advice).not.toContain('facts.cause')
          }
        }
      }
    }
  })
})
