import { SignJWT } from 'jose'
import type { DelegationClaims } from '../../protocol/claims.js'
import { delegationAssertionType } from '../../protocol/token-types.js'
import { AgentDelegationError } from '../errors.js'
import { parseAgentId, parseAudiences, parseScope, parseSha256 } from '../http/grammar.js'
import { sha256base64url } from '../keys/bytes.js'
import type { AgentKey } from '../keys/keys.js'
import type { CallContext } from '../workflow/intent.js'
import { checkChain, type Hop } from './chain.js'

/** Identifies the delegatee. Its key thumbprint is part of the signed assertion. */
export interface AgentIdentity {
  id: string
  /** RFC 7638 thumbprint of its key, base64url SHA-256. */
  jkt: string
}

/** The rights that one agent delegates to another. */
export interface DelegationGrant {
  scope: string | readonly string[]
  /** The APIs that accept it. */
  audience: string | readonly string[]
  /** Seconds. Default: the time left of this agent's own delegation, or 300 if it has none. */
  ttl?: number
}

export interface Delegator {
  id: string
  key: AgentKey
  maxDepth: number
  now: number
}

/**
 * Signs a delegation assertion (draft-goswami-agentic-jwt-01) to another agent with the delegator's DPoP key.
 * It extends the delegator's own chain by one hop.
 *
 * @returns all assertions of the chain, outermost first, separated by spaces, as in the `delegation`
 * parameter of a token request; the value also fits a header field
 * @throws AgentDelegationError if it would exceed the delegator's scope, time, audience or depth
 * @throws TypeError if the grant is malformed
 */
export async function delegate(
  { id, key, maxDepth, now }: Delegator,
  context: CallContext,
  to: AgentIdentity,
  grant: DelegationGrant,
): Promise<string> {
  if (context.subjectToken !== undefined) {
    // A first assertion here would name this agent as the initiator and hide its caller.
    throw new AgentDelegationError(
      'delegation_link_broken',
      'an exchanged token has no assertion to continue',
    )
  }
  const chain = context.chain ?? []
  const last = chain.at(-1)
  // Clocks differ, and no assertion may be older than its predecessor.
  const issuedAt = Math.max(Math.floor(now / 1000), last?.issuedAt ?? 0)
  const hop: Hop = {
    from: id,
    to: parseAgentId(to?.id, 'to.id'),
    fromKey: key.thumbprint,
    toKey: parseSha256(to.jkt, 'to.jkt'),
    audience: parseAudiences(grant?.audience, 'grant.audience'),
    scope: parseScope(grant.scope, 'grant.scope'),
    issuedAt,
    expiresAt: grant.ttl === undefined ? (last?.expiresAt ?? issuedAt + 300) : issuedAt + seconds(grant.ttl),
    id: crypto.randomUUID(),
    workflow: context.workflow,
    hash: context.hash,
    prev: last && (await sha256base64url(last.assertion)),
    assertion: '',
  }
  if (last && !hop.audience.every((item) => last.audience.includes(item))) {
    throw new AgentDelegationError(
      'delegation_context_mismatch',
      'the grant names an audience that was not delegated to this agent',
    )
  }
  await checkChain([...chain, hop], maxDepth, now)
  return [...chain.map((earlier) => earlier.assertion), await sign(hop, key)].join(' ')
}

function sign(hop: Hop, key: AgentKey): Promise<string> {
  return new SignJWT({ ...assertionClaims(hop) })
    .setProtectedHeader({ typ: delegationAssertionType, alg: key.alg, jwk: key.jwk })
    .sign(key.privateKey)
}

/** The payload of the assertion for one hop. */
export function assertionClaims(hop: Omit<Hop, 'fromKey' | 'assertion'>): DelegationClaims {
  const [first = '', ...more] = hop.audience
  return {
    iss: hop.from,
    sub: hop.to,
    cnf: { jkt: hop.toKey },
    aud: more.length === 0 ? first : [first, ...more],
    scope: hop.scope.join(' '),
    iat: hop.issuedAt,
    exp: hop.expiresAt,
    jti: hop.id,
    workflow_id: hop.workflow,
    intent_hash: hop.hash,
    prev: hop.prev,
  }
}

function seconds(ttl: number): number {
  if (Number.isSafeInteger(ttl) && ttl > 0) return ttl
  throw new TypeError('grant.ttl must be a positive whole number of seconds')
}
