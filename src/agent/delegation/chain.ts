import { calculateJwkThumbprint, compactVerify, EmbeddedJWK } from 'jose'
import { algorithmNames } from '../../protocol/algorithms.js'
import { defaultClockTolerance, maxAssertionLength } from '../../protocol/limits.js'
import { delegationAssertionType } from '../../protocol/token-types.js'
import { AgentDelegationError, type DelegationFault } from '../errors.js'
import { parseAgentId, parseAudiences, parseScope, parseSha256, parseWorkflowId } from '../http/grammar.js'
import { sha256base64url } from '../keys/bytes.js'

/** A parsed delegation assertion. Times are seconds since the epoch. */
export interface Hop {
  readonly from: string
  readonly to: string
  /** Thumbprints of the delegator's and the delegatee's key. */
  readonly fromKey: string
  readonly toKey: string
  readonly audience: readonly string[]
  readonly scope: readonly string[]
  readonly issuedAt: number
  readonly expiresAt: number
  readonly id: string
  readonly workflow: string | undefined
  readonly hash: string | undefined
  readonly prev: string | undefined
  /** The compact JWS; empty before it is signed. */
  readonly assertion: string
}

/**
 * Reads and verifies a chain of assertions, outermost first. `now` in milliseconds. Client and issuer share
 * it, and the verifier has its own.
 *
 * @throws AgentDelegationError with the code of the broken rule
 */
export async function readChain(
  assertions: readonly string[],
  maxDepth: number,
  now: number,
): Promise<Hop[]> {
  // Counted before any is read, to bound the work.
  if (assertions.length > maxDepth) fail('delegation_too_deep', `more than ${maxDepth} delegations`)
  const hops: Hop[] = []
  for (const assertion of assertions) hops.push(await readHop(assertion))
  await checkChain(hops, maxDepth, now)
  return hops
}

/** Checks everything but the signatures, so that it also works for a hop that is not yet signed. */
export async function checkChain(hops: readonly Hop[], maxDepth: number, now: number): Promise<void> {
  if (hops.length > maxDepth) fail('delegation_too_deep', `more than ${maxDepth} delegations`)
  for (const [i, hop] of hops.entries()) {
    const before = hops[i - 1]
    const prev = before && (await sha256base64url(before.assertion))
    if (hop.prev !== prev) fail('delegation_link_broken', 'an assertion does not continue the one before it')
    if (before) checkLink(before, hop)
    if (hop.expiresAt * 1000 <= now) fail('delegation_expired', 'an assertion has expired')
    if (hop.issuedAt * 1000 > now + defaultClockTolerance * 1000)
      fail('delegation_expired', 'an assertion was issued in the future')
  }
  const agents = hops.flatMap((hop, i) => (i === 0 ? [hop.from, hop.to] : [hop.to]))
  if (new Set(agents).size < agents.length) fail('delegation_loop', 'an agent occurs twice in the chain')
  if (new Set(hops.map((hop) => hop.id)).size < hops.length)
    fail('delegation_loop', 'an assertion occurs twice in the chain')
}

function checkLink(before: Hop, hop: Hop): void {
  if (hop.from !== before.to || hop.fromKey !== before.toKey) {
    fail('delegation_link_broken', 'an assertion was not made by the delegatee before it')
  }
  if (!hop.scope.every((item) => before.scope.includes(item))) {
    fail('delegation_scope_widened', 'an assertion grants more scope than the one before it')
  }
  if (hop.expiresAt > before.expiresAt || hop.issuedAt < before.issuedAt) {
    fail('delegation_expired', 'an assertion is valid for longer than the one before it')
  }
  if (hop.workflow !== before.workflow || hop.hash !== before.hash) {
    fail('delegation_context_mismatch', 'an assertion is for another workflow or intent')
  }
}

async function readHop(assertion: string): Promise<Hop> {
  if (assertion.length > maxAssertionLength) fail('delegation_malformed', 'an assertion is too long')
  // EmbeddedJWK refuses a header key that is not public.
  const options = { algorithms: [...algorithmNames] }
  const verified = await compactVerify(assertion, EmbeddedJWK, options).catch((error) => {
    const forged = error?.code === 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED'
    fail(forged ? 'delegation_signature_invalid' : 'delegation_malformed', 'an assertion cannot be verified')
  })
  try {
    const { protectedHeader: header, payload } = verified
    if (header.typ !== delegationAssertionType) throw new TypeError('typ')
    if (header.jwk === undefined) throw new TypeError('jwk')
    const fromKey = await calculateJwkThumbprint(header.jwk)
    return hopOf(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload)), fromKey, assertion)
  } catch {
    fail('delegation_malformed', 'an assertion cannot be read')
  }
}

function hopOf(claims: Record<string, unknown>, fromKey: string, assertion: string): Hop {
  const { iss, sub, aud, scope, iat, exp, jti, cnf, workflow_id, intent_hash, prev } = claims
  const { jkt }: { jkt?: unknown } = Object(cnf)
  if (typeof scope !== 'string' || typeof jti !== 'string' || jti === '') throw new TypeError('scope, jti')
  if (!isFiniteNumber(iat) || !isFiniteNumber(exp)) throw new TypeError('iat, exp')
  return {
    from: parseAgentId(iss, 'iss'),
    to: parseAgentId(sub, 'sub'),
    fromKey,
    toKey: parseSha256(jkt, 'cnf.jkt'),
    audience: parseAudiences(aud, 'aud'),
    scope: parseScope(scope, 'scope'),
    issuedAt: iat,
    expiresAt: exp,
    id: jti,
    workflow: workflow_id === undefined ? undefined : parseWorkflowId(workflow_id, 'workflow_id'),
    hash: intent_hash === undefined ? undefined : parseSha256(intent_hash, 'intent_hash'),
    prev: prev === undefined ? undefined : parseSha256(prev, 'prev'),
    assertion,
  }
}

function isFiniteNumber(value: unknown): value is number {
  return Number.isFinite(value)
}

function fail(code: DelegationFault, message: string): never {
  throw new AgentDelegationError(code, message)
}
