import { Cache } from '../caches.js'
import type { Hop } from '../decision.js'
import type { DenialCode } from '../denials.js'
import { hashIds } from '../intent/chain-hash.js'
import type { SignatureCheck } from '../jose/signature-check.js'
import { isPromise, type Maybe } from '../maybe.js'
import type { CompiledPolicy } from '../policy/compile.js'
import type { IntentToken } from '../token/intent-token.js'
import type { VerifiedToken } from '../token/verify-token.js'
import type { Assertion } from './assertion.js'
import type { Delegation } from './delegation.js'

/** Bytes that a hash takes in the cache, about. */
const hashSize = 200

/**
 * Finds out how the right to act came to the agent that holds the token, or what is wrong with that. `now` is in
 * seconds; the chains that the route lists need no signatures, unless the policy asks for them.
 */
export type DelegationVerifier = (
  verified: VerifiedToken,
  now: number,
  listedChains: readonly (readonly string[])[] | undefined,
) => Maybe<Delegation | DenialCode>

/** Keeps the hashes of verified assertions within `cacheSize` bytes, about. */
export function createDelegationVerifier(
  policy: CompiledPolicy,
  cacheSize: number,
  isSignedBy: SignatureCheck,
): DelegationVerifier {
  const { clockTolerance } = policy.token
  // Hashes of assertions whose signature has verified: a signature that was right stays right.
  const signed = new Cache<true>(cacheSize, () => hashSize)

  /** Whether each signature is right: side by side, where they are verified in the thread pool. */
  function areSigned(assertions: readonly Assertion[]): Maybe<boolean> {
    const unseen = assertions.filter(({ hash }) => !signed.get(hash))
    const answers: Maybe<boolean>[] = []
    for (const { key, algorithm, input, signature } of unseen) {
      const answer = isSignedBy(key, algorithm, input, signature)
      if (answer === false) return false
      answers.push(answer)
    }
    const admit = (areValid: readonly boolean[]) => {
      for (const [position, { hash }] of unseen.entries()) if (areValid[position]) signed.set(hash, true)
      return areValid.every(Boolean)
    }
    return answers.some(isPromise) ? Promise.all(answers).then(admit) : admit(answers as boolean[])
  }

  return (verified, now, listedChains) => {
    const { assertions, token } = verified
    if (typeof assertions === 'string') return assertions
    if (assertions.length === 0) return withoutAssertions(token, listedChains, policy.delegation.signed)
    // Once verified for this token, only the time can tell against it.
    if (verified.delegation !== undefined)
      return checkTime(assertions, token, now, clockTolerance) ?? verified.delegation
    const denial =
      checkLinks(assertions, token) ??
      checkScopes(assertions, token) ??
      checkTime(assertions, token, now, clockTolerance) ??
      checkContext(assertions, token, verified.audience) ??
      checkLoops(assertions) ??
      checkChainHash(assertions, token)
    if (denial !== undefined) return denial
    const conclude = (areValid: boolean) => {
      if (!areValid) return 'delegation_signature_invalid'
      verified.delegation = toDelegation(assertions)
      return verified.delegation
    }
    const answer = areSigned(assertions)
    return isPromise(answer) ? answer.then(conclude) : conclude(answer)
  }
}

/** From the initiator that the issuer attests, hop by hop, to the key that the token is bound to. */
function checkLinks(
  assertions: readonly Assertion[],
  { sub, keyThumbprint, intent }: IntentToken,
): DenialCode | undefined {
  let delegator: { id: string | undefined; thumbprint: string | undefined; hash: string | undefined } = {
    id: intent.initiatedBy,
    thumbprint: intent.initiatorThumbprint,
    hash: undefined,
  }
  for (const assertion of assertions) {
    const isLinked =
      assertion.iss === delegator.id &&
      assertion.key.thumbprint === delegator.thumbprint &&
      assertion.prev === delegator.hash
    if (!isLinked) return 'delegation_link_broken'
    delegator = {
      id: assertion.sub,
      thumbprint: assertion.delegateeThumbprint,
      hash: assertion.hash,
    }
  }
  return delegator.id === sub && delegator.thumbprint === keyThumbprint ? undefined : 'delegation_link_broken'
}

function checkScopes(assertions: readonly Assertion[], token: IntentToken): DenialCode | undefined {
  const granted = [...assertions.map(({ scopes }) => scopes), new Set(token.scopes)]
  const isNarrowing = granted.every(
    (scopes, hop) => hop === 0 || isSubset(scopes, granted[hop - 1] as Set<string>),
  )
  return isNarrowing ? undefined : 'delegation_scope_widened'
}

/** The tolerance is for clocks: between assertions, which carry their times, there is none. */
function checkTime(
  assertions: readonly Assertion[],
  token: IntentToken,
  now: number,
  clockTolerance: number,
): DenialCode | undefined {
  const ends = [...assertions.map(({ exp }) => exp), token.exp]
  const starts = assertions.map(({ iat }) => iat)
  const isNarrowing =
    ends.every((exp, hop) => hop === 0 || exp <= (ends[hop - 1] as number)) &&
    starts.every((iat, hop) => hop === 0 || iat >= (starts[hop - 1] as number))
  const isCurrent = assertions.every(
    ({ iat, exp, nbf }) =>
      now - clockTolerance < exp &&
      iat <= now + clockTolerance &&
      (nbf === undefined || nbf <= now + clockTolerance),
  )
  return isNarrowing && isCurrent ? undefined : 'delegation_expired'
}

/** No assertion may stem from another run: what one part of the chain is for, all of it is for. */
function checkContext(
  assertions: readonly Assertion[],
  token: IntentToken,
  audience: string,
): DenialCode | undefined {
  const workflowIds = new Set([token.intent.workflowId, ...assertions.map(({ workflowId }) => workflowId)])
  const intentHashes = new Set([token.intent.hash, ...assertions.map(({ intentHash }) => intentHash)])
  const isOneContext =
    workflowIds.size === 1 &&
    intentHashes.size === 1 &&
    assertions.every(({ audiences }) => audiences.includes(audience))
  return isOneContext ? undefined : 'delegation_context_mismatch'
}

function checkLoops(assertions: readonly Assertion[]): DenialCode | undefined {
  const agents = agentsOf(assertions)
  const ids = assertions.map(({ jti }) => jti)
  const isStraight = new Set(agents).size === agents.length && new Set(ids).size === ids.length
  return isStraight ? undefined : 'delegation_loop'
}

function checkChainHash(assertions: readonly Assertion[], { intent }: IntentToken): DenialCode | undefined {
  if (intent.chainHash === undefined) return undefined
  return intent.chainHash === hashIds(agentsOf(assertions)) ? undefined : 'delegation_hash_mismatch'
}

const noHops: readonly Hop[] = Object.freeze([])

/** A direct call, or a chain of which the token has only the hash: that the route has to list. */
function withoutAssertions(
  token: IntentToken,
  listedChains: readonly (readonly string[])[] | undefined,
  signed: 'required' | 'optional',
): Delegation | DenialCode {
  const { chainHash, initiatedBy } = token.intent
  const initiator = initiatedBy ?? token.sub
  if (chainHash === undefined || chainHash === hashIds([token.sub])) {
    return { hops: noHops, agents: [token.sub], initiator, depth: 0 }
  }
  if (signed === 'required') return 'delegation_required'
  const chain = listedChains?.find(
    (ids) =>
      hashIds(ids) === chainHash &&
      ids[ids.length - 1] === token.sub &&
      (initiatedBy === undefined || ids[0] === initiatedBy),
  )
  if (chain === undefined) return 'delegation_not_allowed'
  return { hops: noHops, agents: chain, initiator: chain[0] as string, depth: chain.length - 1 }
}

function toDelegation(assertions: readonly Assertion[]): Delegation {
  const agents = agentsOf(assertions)
  const hops: Hop[] = assertions.map(({ iss, sub, jti, scopes, exp }) =>
    Object.freeze({ from: iss, to: sub, tokenId: jti, scopes: Object.freeze([...scopes]), expiresAt: exp }),
  )
  return Object.freeze({
    hops: Object.freeze(hops),
    agents: Object.freeze(agents),
    initiator: agents[0] as string,
    depth: hops.length,
  })
}

function agentsOf(assertions: readonly Assertion[]): string[] {
  return [...assertions.slice(0, 1).map(({ iss }) => iss), ...assertions.map(({ sub }) => sub)]
}

function isSubset(part: ReadonlySet<string>, whole: ReadonlySet<string>): boolean {
  for (const item of part) if (!whole.has(item)) return false
  return true
}
