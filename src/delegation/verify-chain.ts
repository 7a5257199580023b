import type { Hop } from '../decision.js'
import { hashIds } from '../jws/chain-hash.js'
import type { SignatureCheck } from '../jws/signature-check.js'
import { Cache } from '../lib/cache.js'
import { isPromiseLike, type MaybePromise } from '../lib/promise.js'
import { describe, isRefusal, Refusal } from '../refusal.js'
import type { Assertion } from './assertion.js'
import type { DelegatedToken, Delegation } from './delegation.js'

/** The parts of a policy that chains are judged by. */
export interface DelegationPolicy {
  /** In seconds. */
  readonly token: { readonly clockTolerance: number }
  readonly delegation: { readonly signed: 'required' | 'optional' }
}

/** Bytes that a hash takes in the cache, about. */
const hashSize = 200

/**
 * Finds out how the right to act came to the agent that holds the token, or refuses. `now` is in seconds;
 * `allowedChain` is the chain of the route's rule that the token's hash stands for, if any.
 */
export type DelegationVerifier = (
  verified: DelegatedToken,
  now: number,
  allowedChain: readonly string[] | undefined,
) => MaybePromise<Delegation | Refusal>

/** Keeps the hashes of verified assertions within `cacheSize` bytes, about. */
export function createDelegationVerifier(
  policy: DelegationPolicy,
  cacheSize: number,
  isSignedBy: SignatureCheck,
): DelegationVerifier {
  const { clockTolerance } = policy.token
  // Hashes of assertions whose signature has verified: a signature that was right stays right.
  const signed = new Cache<true>(cacheSize, () => hashSize)

  /** Whether each signature is right: side by side, where they are verified in the thread pool. */
  function areSigned(assertions: readonly Assertion[]): MaybePromise<boolean> {
    const unseen = assertions.filter(({ hash }) => !signed.get(hash))
    const answers: MaybePromise<boolean>[] = []
    for (const { key, algorithm, input, signature } of unseen) {
      const answer = isSignedBy(key, algorithm, input, signature)
      if (answer === false) return false
      answers.push(answer)
    }
    const admit = (areValid: readonly boolean[]) => {
      for (const [position, { hash }] of unseen.entries()) if (areValid[position]) signed.set(hash, true)
      return areValid.every(Boolean)
    }
    return answers.some(isPromiseLike) ? Promise.all(answers).then(admit) : admit(answers as boolean[])
  }

  return (verified, now, allowedChain) => {
    const { assertions, token } = verified
    if (isRefusal(assertions)) return assertions
    if (assertions.length === 0) return withoutAssertions(token, allowedChain, policy.delegation.signed)
    // Once verified for this token, only the time can tell against it.
    if (verified.delegation !== undefined)
      return checkTime(assertions, token, now, clockTolerance) ?? verified.delegation
    const denial =
      checkLinks(assertions, token) ??
      checkScopes(assertions, token) ??
      checkTime(assertions, token, now, clockTolerance) ??
      checkContext(assertions, token, verified.audiences) ??
      checkLoops(assertions) ??
      checkChainHash(assertions, token)
    if (denial !== undefined) return denial
    const conclude = (areValid: boolean) => {
      if (!areValid) return new Refusal('delegation_signature_invalid')
      verified.delegation = toDelegation(assertions)
      return verified.delegation
    }
    const answer = areSigned(assertions)
    return isPromiseLike(answer) ? answer.then(conclude) : conclude(answer)
  }
}

/**
 * From the initiator to the key that the token is bound to. The issuer attests the key of each delegator: whoever
 * delegates could otherwise make up the key of the agent it delegates to, and sign the next hop itself.
 */
function checkLinks(
  assertions: readonly Assertion[],
  { subject: sub, keyThumbprint, intent }: DelegatedToken['token'],
): Refusal | undefined {
  const { delegatorThumbprints: attested, initiatorThumbprint } = intent
  const mismatch = attested && checkAttested(attested, assertions.length, initiatorThumbprint)
  if (mismatch !== undefined) return mismatch
  let id = intent.initiatedBy
  let thumbprint = initiatorThumbprint
  let hash: string | undefined
  for (const [hop, assertion] of assertions.entries()) {
    const name = `assertion ${hop + 1}`
    if (assertion.iss !== id) return brokenLink(`iss of ${name} is not the delegatee before it`)
    if (assertion.key.thumbprint !== thumbprint)
      return brokenLink(`${name} is signed by another key than the hop before it names`)
    if (attested !== undefined && attested[hop] !== thumbprint)
      return brokenLink(`${name} is signed by a key that the issuer does not attest for its delegator`)
    if (assertion.prev !== hash)
      return brokenLink(`prev of ${name} is not the hash of the assertion before it`)
    id = assertion.sub
    thumbprint = assertion.delegateeThumbprint
    hash = assertion.hash
  }
  if (id !== sub) return brokenLink('the last delegatee is not sub of the token')
  return thumbprint === keyThumbprint ? undefined : brokenLink('the last cnf.jkt is not the key of the token')
}

function checkAttested(
  attested: readonly string[],
  hops: number,
  initiatorThumbprint: string | undefined,
): Refusal | undefined {
  if (attested.length !== hops) return brokenLink('delegator_jkts has not one member for each assertion')
  if (attested[0] === initiatorThumbprint) return undefined
  return brokenLink('delegator_jkts does not begin with initiator_jkt')
}

function brokenLink(reason: string): Refusal {
  return new Refusal('delegation_link_broken', { reason, claim: 'intent.delegation' })
}

function checkScopes(assertions: readonly Assertion[], token: DelegatedToken['token']): Refusal | undefined {
  const granted = [...assertions.map(({ scopes }) => scopes), new Set(token.scopes)]
  for (const [hop, scopes] of granted.entries()) {
    const before = granted[hop - 1]
    const widened = before && [...scopes].find((scope) => !before.has(scope))
    if (widened === undefined) continue
    const reason =
      hop === assertions.length
        ? 'the token has a scope that the last assertion has not'
        : `assertion ${hop + 1} has a scope that the assertion before it has not`
    return new Refusal('delegation_scope_widened', { reason, claim: 'scope', found: describe(widened) })
  }
  return undefined
}

/** The tolerance is for clocks: between assertions, which carry their times, there is none. */
function checkTime(
  assertions: readonly Assertion[],
  token: DelegatedToken['token'],
  now: number,
  clockTolerance: number,
): Refusal | undefined {
  let exp = Number.POSITIVE_INFINITY
  let iat = Number.NEGATIVE_INFINITY
  for (let hop = 0; hop < assertions.length; hop++) {
    const assertion = assertions[hop] as Assertion
    const isNarrowing = assertion.exp <= exp && assertion.iat >= iat
    const isCurrent =
      now - clockTolerance < assertion.exp &&
      assertion.iat <= now + clockTolerance &&
      (assertion.nbf === undefined || assertion.nbf <= now + clockTolerance)
    if (!isNarrowing) return expired(`assertion ${hop + 1} outlives or precedes the assertion before it`)
    if (!isCurrent) return expired(`assertion ${hop + 1} has expired or is not valid yet`)
    exp = assertion.exp
    iat = assertion.iat
  }
  return token.exp <= exp ? undefined : expired('the token outlives the last assertion')
}

function expired(reason: string): Refusal {
  return new Refusal('delegation_expired', { reason, claim: 'intent.delegation' })
}

/** No assertion may stem from another run: what one part of the chain is for, all of it is for. */
function checkContext(
  assertions: readonly Assertion[],
  { intent }: DelegatedToken['token'],
  audiences: readonly string[],
): Refusal | undefined {
  const isForAll = (audience: string) =>
    assertions.every((assertion) => assertion.audiences.includes(audience))
  if (!audiences.some(isForAll)) return otherContext('no audience of this API is in every assertion', 'aud')
  if (assertions.some(({ workflowId }) => workflowId !== intent.workflowId))
    return otherContext('an assertion is for another workflow than the token', 'workflow_id')
  if (assertions.some(({ intentHash }) => intentHash !== intent.hash))
    return otherContext('an assertion is for another intent than the token', 'intent_hash')
  return undefined
}

function otherContext(reason: string, claim: string): Refusal {
  return new Refusal('delegation_context_mismatch', { reason, claim })
}

function checkLoops(assertions: readonly Assertion[]): Refusal | undefined {
  const agents = agentsOf(assertions)
  const ids = assertions.map(({ jti }) => jti)
  if (new Set(agents).size < agents.length)
    return new Refusal('delegation_loop', { reason: 'an agent stands twice in the chain' })
  if (new Set(ids).size < ids.length)
    return new Refusal('delegation_loop', { reason: 'a jti stands twice in the chain' })
  return undefined
}

function checkChainHash(
  assertions: readonly Assertion[],
  { intent }: DelegatedToken['token'],
): Refusal | undefined {
  if (intent.chainHash === undefined) return undefined
  const expected = hashIds(agentsOf(assertions))
  if (intent.chainHash === expected) return undefined
  const reason = 'delegation_chain is not the hash over the agents of the delegation'
  const cause = { reason, claim: 'intent.delegation_chain', expected, found: describe(intent.chainHash) }
  return new Refusal('delegation_hash_mismatch', cause)
}

const noHops: readonly Hop[] = Object.freeze([])

/** A direct call, or a chain of which the token has only the hash: that the route has to list. */
function withoutAssertions(
  token: DelegatedToken['token'],
  allowedChain: readonly string[] | undefined,
  signed: 'required' | 'optional',
): Delegation | Refusal {
  const { initiatedBy, initiatorType } = token.intent
  if (isDirect(token)) {
    const { agent, subject } = token
    const initiator = initiatedBy ?? subject
    // Where an agent acts for another subject, nobody knows whether that is an agent.
    const isOwnRun = initiator === agent && subject === agent
    const isInitiatedByAgent = initiatorType === undefined ? isOwnRun : initiatorType === 'agent'
    return { hops: noHops, agents: [agent], initiator, isInitiatedByAgent, depth: 0 }
  }
  const claim = 'intent.delegation_chain'
  if (signed === 'required') {
    const reason = 'the token has the hash of a chain, and no signed assertions'
    return new Refusal('delegation_required', { reason, claim })
  }
  if (allowedChain === undefined) {
    const reason = 'the hash stands for no chain that the rule lists'
    return new Refusal('delegation_not_allowed', { reason, claim, found: describe(token.intent.chainHash) })
  }
  return {
    hops: noHops,
    agents: allowedChain,
    initiator: allowedChain[0] as string,
    isInitiatedByAgent: true,
    depth: allowedChain.length - 1,
  }
}

/** No chain, or the hash of the executor alone: nobody has delegated. */
function isDirect({ subject: sub, intent }: DelegatedToken['token']): boolean {
  return intent.chainHash === undefined || intent.chainHash === hashIds([sub])
}

/** The chain of a rule that the hash of a token stands for: agents only, so that none begins with a person. */
export function findAllowedChain(
  { subject: sub, intent }: DelegatedToken['token'],
  chains: readonly (readonly string[])[] | undefined,
): readonly string[] | undefined {
  const { chainHash, initiatedBy, initiatorType, delegation } = intent
  if (chainHash === undefined || delegation !== undefined || initiatorType === 'user') return undefined
  return chains?.find(
    (ids) =>
      ids.length > 1 &&
      hashIds(ids) === chainHash &&
      ids[ids.length - 1] === sub &&
      (initiatedBy === undefined || ids[0] === initiatedBy),
  )
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
    isInitiatedByAgent: true,
    depth: hops.length,
  })
}

function agentsOf(assertions: readonly Assertion[]): string[] {
  return [...assertions.slice(0, 1).map(({ iss }) => iss), ...assertions.map(({ sub }) => sub)]
}
