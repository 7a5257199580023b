import { SignJWT } from 'jose'
import { AgentDelegationError } from '../errors.js'
import { agentId, audiences, digest, scopeSet } from '../http/grammar.js'
import { sha256base64url } from '../keys/bytes.js'
import type { AgentKey } from '../keys/keys.js'
import type { CallContext } from '../workflow/intent.js'
import { checkChain, type Hop } from './chain.js'

/** An agent as its delegator has to know it: which key it will hold is part of what is signed. */
export interface AgentIdentity {
  id: string
  /** RFC 7638 thumbprint of its key, base64url SHA-256. */
  jkt: string
}

/** What one agent lets another do in its place. */
export interface DelegationGrant {
  scope: string | readonly string[]
  /** The APIs that it may be used at. */
  audience: string | readonly string[]
  /** Seconds. Default: what is left of this agent's own delegation, or 300 where it acts for itself. */
  ttl?: number
}

export interface Delegator {
  id: string
  key: AgentKey
  maxDepth: number
  now: number
}

/**
 * Signs a delegation assertion (draft-goswami-agentic-jwt-01, with the key of the delegator's DPoP proofs) to
 * another agent, one hop longer than what this agent acts under.
 *
 * @returns all assertions of the chain, outermost first, separated by blanks: the form of the token request's
 * `delegation` parameter, which also fits a header field
 * @throws AgentDelegationError where it would grant more than this agent has: scope, time, audience, depth
 * @throws TypeError where the grant is ill-formed
 */
export async function delegate(
  { id, key, maxDepth, now }: Delegator,
  context: CallContext,
  to: AgentIdentity,
  grant: DelegationGrant,
): Promise<string> {
  if (context.subjectToken !== undefined) {
    // A first assertion here would make this agent the initiator, and its caller disappear.
    throw new AgentDelegationError(
      'delegation_link_broken',
      'an exchanged token has no assertion to continue',
    )
  }
  const chain = context.chain ?? []
  const last = chain.at(-1)
  // Clocks differ: no assertion may be older than the one it rests on.
  const issuedAt = Math.max(Math.floor(now / 1000), last?.issuedAt ?? 0)
  const hop: Hop = {
    from: id,
    to: agentId(to?.id, 'to.id'),
    fromKey: key.thumbprint,
    toKey: digest(to.jkt, 'to.jkt'),
    audience: audiences(grant?.audience, 'grant.audience'),
    scope: scopeSet(grant.scope, 'grant.scope'),
    issuedAt,
    expiresAt: grant.ttl === undefined ? (last?.expiresAt ?? issuedAt + 300) : issuedAt + seconds(grant.ttl),
    id: crypto.randomUUID(),
    workflow: context.workflow,
    hash: context.hash,
    prev: last && (await sha256base64url(last.assertion)),
    assertion: '',
  }
  if (last && !hop.audience.every((item) => last.audience.includes(item))) {
    throw new AgentDelegationError('delegation_context_mismatch', 'this agent was not given that audience')
  }
  await checkChain([...chain, hop], maxDepth, now)
  return [...chain.map((earlier) => earlier.assertion), await sign(hop, key)].join(' ')
}

function sign(hop: Hop, key: AgentKey): Promise<string> {
  const [first = '', ...more] = hop.audience
  const claims = {
    iss: hop.from,
    sub: hop.to,
    cnf: { jkt: hop.toKey },
    aud: more.length === 0 ? first : [first, ...more],
    scope: hop.scope.join(' '),
    iat: hop.issuedAt,
    exp: hop.expiresAt,
    jti: hop.id,
    ...(hop.workflow === undefined ? {} : { workflow_id: hop.workflow }),
    ...(hop.hash === undefined ? {} : { intent_hash: hop.hash }),
    ...(hop.prev === undefined ? {} : { prev: hop.prev }),
  }
  return new SignJWT(claims)
    .setProtectedHeader({ typ: 'ajwt-delegation+jwt', alg: key.alg, jwk: key.jwk })
    .sign(key.privateKey)
}

function seconds(ttl: number): number {
  if (Number.isSafeInteger(ttl) && ttl > 0) return ttl
  throw new TypeError('grant.ttl must be a positive whole number of seconds')
}
