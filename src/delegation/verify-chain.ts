import type { Hop } from '../decision.js'
import { hashIds } from '../jws/chain-hash.js'
import type { SignatureCheck } from '../jws/public-key.js'
import { Cache } from '../lib/cache.js'
import { isPromiseLike, type MaybePromise } from '../lib/promise.js'
import { type CheckObserver, describe, isRefusal, Refusal } from '../refusal.js'
import type { Assertion } from './assertion.js'
import type { DelegatedToken, Delegation } from './delegation.js'

/** The part of a policy that applies to delegation chains. */
export interface DelegationPolicy {
  /** In seconds. */
  readonly token: { readonly clockTolerance: number }
  readonly delegation: { readonly maxDepth: number; readonly signed: 'required' | 'optional' }
}

/** Estimated memory of a cached hash, in bytes. */
const hashSize = 200

/**
 * Verifies the delegation of a token. `now` is in seconds. `allowedChain` is the chain of the route's rule
 * with the hash that the token has, if there is one.
 */
export type DelegationVerifier = (
  verified: DelegatedToken,
  now: number,
  allowedChain: readonly string[] | undefined,
  observer?: CheckObserver,
) => MaybePromise<Delegation | Refusal>

/** Caches the hashes of verified assertions within about `cacheSize` bytes. */
export function createDelegationVerifier(
  policy: DelegationPolicy,
  cacheSize: number,
  isSignedBy: SignatureCheck,
): DelegationVerifier {
  const { clockTolerance } = policy.token
  // Hashes of assertions whose signature has verified. The result cannot change.
  const verifiedHashes = new Cache<true>(cacheSize, () => hashSize)

  /** Whether every signature is valid. In the thread pool, the signatures are verified in parallel. */
  function areSigned(assertions: readonly Assertion[]): MaybePromise<boolean> {
    const uncached = assertions.filter(({ hash }) => !verifiedHashes.get(hash))
    const results: MaybePromise<boolean>[] = []
    for (const { key, algorithm, input, signature } of uncached) {
      const result = isSignedBy(key, algorithm, input, signature)
      if (result === false) return false
      results.push(result)
    }
    const cacheValid = (areValid: readonly boolean[]) => {
      for (const [index, { hash }] of uncached.entries()) if (areValid[index]) verifiedHashes.set(hash, true)
      return areValid.every(Boolean)
    }
    const areSettled = results.every((result) => typeof result === 'boolean')
    return areSettled ? cacheValid(results) : Promise.all(results).then(cacheValid)
  }

  return (verified, now, allowedChain, observer) => {
    const { assertions, token } = verified
    if (isRefusal(assertions)) return observer?.begin(nameOfReadingCheck(assertions)) ?? assertions
    const [outermost] = assertions
    if (outermost === undefined) {
      observer?.begin('chain', 'a direct call, or a chain that the rule lists')
      // A direct call is one whatever the route's rule lists.
      verified.delegation ??= readDirect(token)
      return verified.delegation ?? verifyUnsigned(token, allowedChain, policy.delegation.signed)
    }
    // Nothing but the time can change after the first verification for this token.
    if (verified.delegation !== undefined)
      return checkTime(assertions, token, now, clockTolerance) ?? verified.delegation
    const agents = [outermost.iss, ...assertions.map(({ sub }) => sub)] as const
    observer?.begin('form', 'well-formed assertions', `${assertions.length} of them`)
    observer?.begin('depth', `at most ${policy.delegation.maxDepth} hops`, `${assertions.length}`)
    const denial = checkChain(verified, assertions, agents, now, clockTolerance, observer)
    if (denial !== undefined) return denial
    const finish = (areValid: boolean) => {
      if (!areValid) return new Refusal('delegation_signature_invalid')
      verified.delegation = toDelegation(agents, assertions)
      return verified.delegation
    }
    observer?.begin('signatures', 'each assertion is signed by its delegator')
    const areValid = areSigned(assertions)
    return isPromiseLike(areValid) ? areValid.then(finish) : finish(areValid)
  }
}

/** Which check of `readAssertions` has refused. */
function nameOfReadingCheck({ code }: Refusal): string {
  return code === 'delegation_too_deep' ? 'depth' : 'form'
}

/** Everything but the signatures: that costs the most. */
function checkChain(
  { token, audiences }: DelegatedToken,
  assertions: readonly Assertion[],
  agents: readonly [string, ...string[]],
  now: number,
  clockTolerance: number,
  observer: CheckObserver | undefined,
): Refusal | undefined {
  return (
    observer?.begin('links', 'each hop continues the one before', agents.join(' > ')) ??
    checkLinks(assertions, token) ??
    observer?.begin('scopes', 'no hop adds a scope') ??
    checkScopes(assertions, token) ??
    observer?.begin('times', 'no hop outlives the one before, and none has expired') ??
    checkTime(assertions, token, now, clockTolerance) ??
    observer?.begin('context', 'one audience, one workflow, one intent') ??
    checkContext(assertions, token, audiences) ??
    observer?.begin('loops', 'no agent and no jti twice') ??
    checkLoops(agents, assertions) ??
    observer?.begin('chain_hash', 'delegation_chain is the hash over the agents') ??
    checkChainHash(agents, token)
  )
}

/**
 * Checks that each hop continues the hop before it, from the initiator to the key of the token. The issuer
 * attests the key of each delegator: else a delegator could invent the key of its delegatee and sign the
 * next hop itself.
 */
function checkLinks(
  assertions: readonly Assertion[],
  { subject: sub, keyThumbprint, intent }: DelegatedToken['token'],
): Refusal | undefined {
  const { delegatorThumbprints: attested, initiatorThumbprint } = intent
  const mismatch = attested && checkAttestedKeys(attested, assertions.length, initiatorThumbprint)
  if (mismatch !== undefined) return mismatch
  let id = intent.initiatedBy
  let thumbprint = initiatorThumbprint
  let hash: string | undefined
  for (const [hop, assertion] of assertions.entries()) {
    const name = `assertion ${hop + 1}`
    if (assertion.iss !== id) return brokenLink(`iss of ${name} is not the sub of the assertion before it`)
    if (assertion.key.thumbprint !== thumbprint)
      return brokenLink(`${name} is not signed by the key that the assertion before it names`)
    if (attested !== undefined && attested[hop] !== thumbprint)
      return brokenLink(`${name} is signed by a key that the issuer does not attest`)
    if (assertion.prev !== hash)
      return brokenLink(`prev of ${name} is not the hash of the assertion before it`)
    id = assertion.sub
    thumbprint = assertion.delegateeThumbprint
    hash = assertion.hash
  }
  if (id !== sub) return brokenLink('the sub of the last assertion is not the sub of the token')
  return thumbprint === keyThumbprint
    ? undefined
    : brokenLink('cnf.jkt of the last assertion is not the key of the token')
}

function checkAttestedKeys(
  attested: readonly string[],
  hops: number,
  initiatorThumbprint: string | undefined,
): Refusal | undefined {
  if (attested.length !== hops)
    return brokenLink('delegator_jkts does not have one member for each assertion')
  if (attested[0] === initiatorThumbprint) return undefined
  return brokenLink('delegator_jkts does not begin with initiator_jkt')
}

function brokenLink(reason: string): Refusal {
  return new Refusal('delegation_link_broken', { reason, claim: 'intent.delegation' })
}

function checkScopes(assertions: readonly Assertion[], token: DelegatedToken['token']): Refusal | undefined {
  const scopeSets = [...assertions.map(({ scopes }) => scopes), new Set(token.scopes)]
  for (const [hop, scopes] of scopeSets.entries()) {
    const before = scopeSets[hop - 1]
    const widened = before && [...scopes].find((scope) => !before.has(scope))
    if (widened === undefined) continue
    const reason =
      hop === assertions.length
        ? 'the token has a scope that the last assertion does not have'
        : `assertion ${hop + 1} has a scope that the assertion before it does not have`
    return new Refusal('delegation_scope_widened', { reason, claim: 'scope', found: describe(widened) })
  }
  return undefined
}

/** The tolerance applies to the clock only, not between two assertions. */
function checkTime(
  assertions: readonly Assertion[],
  token: DelegatedToken['token'],
  now: number,
  clockTolerance: number,
): Refusal | undefined {
  let exp = Number.POSITIVE_INFINITY
  let iat = Number.NEGATIVE_INFINITY
  let position = 0
  for (const assertion of assertions) {
    position++
    const isNarrowing = assertion.exp <= exp && assertion.iat >= iat
    const isCurrent =
      now - clockTolerance < assertion.exp &&
      assertion.iat <= now + clockTolerance &&
      (assertion.nbf === undefined || assertion.nbf <= now + clockTolerance)
    if (!isNarrowing) return expired(`assertion ${position} outlives or precedes the assertion before it`)
    if (!isCurrent) return expired(timeReason(`assertion ${position}`, assertion, now))
    exp = assertion.exp
    iat = assertion.iat
  }
  return token.exp <= exp ? undefined : expired('the token outlives the last assertion')
}

function timeReason(name: string, { exp, iat, nbf = iat }: Assertion, now: number): string {
  if (now >= exp) return `${name} expired ${Math.round(now - exp)} s ago`
  const [member, start] = iat > now ? ['iat', iat] : ['nbf', nbf]
  return start > now
    ? `${member} of ${name} is ${Math.round(start - now)} s ahead of this clock`
    : `${name} expires now`
}

function expired(reason: string): Refusal {
  return new Refusal('delegation_expired', { reason, claim: 'intent.delegation' })
}

/** All assertions must be for the same audience, workflow and intent, so that none comes from another run. */
function checkContext(
  assertions: readonly Assertion[],
  { intent }: DelegatedToken['token'],
  audiences: readonly string[],
): Refusal | undefined {
  const isForAll = (audience: string) =>
    assertions.every((assertion) => assertion.audiences.includes(audience))
  if (!audiences.some(isForAll)) {
    const others = assertions.find((each) => !audiences.some((name) => each.audiences.includes(name)))
    const found = others?.audiences.join(' ')
    return otherContext('no audience of this API is in every assertion', 'aud', audiences.join(' or '), found)
  }
  const elsewhere = assertions.find(({ workflowId }) => workflowId !== intent.workflowId)
  if (elsewhere !== undefined) {
    const reason = 'an assertion is for another workflow than the token'
    return otherContext(reason, 'workflow_id', intent.workflowId, elsewhere.workflowId)
  }
  const other = assertions.find(({ intentHash }) => intentHash !== intent.hash)
  if (other === undefined) return undefined
  const reason = 'an assertion is for another intent than the token'
  return otherContext(reason, 'intent_hash', intent.hash, other.intentHash)
}

/** The signature of the token covers what the assertions say. */
function otherContext(
  reason: string,
  claim: string,
  expected: string | undefined,
  found: string | undefined,
): Refusal {
  const values = { expected: describe(expected), found: describe(found) }
  return new Refusal('delegation_context_mismatch', { reason, claim, ...values })
}

function checkLoops(agents: readonly string[], assertions: readonly Assertion[]): Refusal | undefined {
  const agent = findRepeated(agents)
  if (agent !== undefined) return loop('an agent occurs twice in the chain', agent)
  const id = findRepeated(assertions.map(({ jti }) => jti))
  return id === undefined ? undefined : loop('a jti occurs twice in the chain', id)
}

function findRepeated(ids: readonly string[]): string | undefined {
  if (new Set(ids).size === ids.length) return undefined
  return ids.find((id, index) => ids.indexOf(id) < index)
}

function loop(reason: string, found: string): Refusal {
  const cause = { reason, claim: 'intent.delegation', found: describe(found) }
  return new Refusal('delegation_loop', cause)
}

function checkChainHash(agents: readonly string[], { intent }: DelegatedToken['token']): Refusal | undefined {
  if (intent.chainHash === undefined) return undefined
  const expected = hashIds(agents)
  if (intent.chainHash === expected) return undefined
  const reason = 'delegation_chain is not the hash of the agents in the delegation'
  const cause = { reason, claim: 'intent.delegation_chain', expected, found: describe(intent.chainHash) }
  return new Refusal('delegation_hash_mismatch', cause)
}

const noHops: readonly Hop[] = Object.freeze([])

/**
 * The delegation of a token with no chain, or with the hash of the executor alone. Undefined where it has
 * the hash of another chain.
 */
function readDirect({ agent, subject, intent }: DelegatedToken['token']): Delegation | undefined {
  const { chainHash, initiatedBy, initiatorType } = intent
  if (chainHash !== undefined && chainHash !== hashIds([subject])) return undefined
  const initiator = initiatedBy ?? subject
  // An agent that acts for another subject: unknown whether the subject is an agent.
  const isOwnRun = initiator === agent && subject === agent
  const isInitiatedByAgent = initiatorType === undefined ? isOwnRun : initiatorType === 'agent'
  return { hops: noHops, agents: [agent], initiator, isInitiatedByAgent, depth: 0 }
}

/** Accepts the hash of a chain that the rule of the route lists. */
function verifyUnsigned(
  { intent }: DelegatedToken['token'],
  allowedChain: readonly string[] | undefined,
  signed: 'required' | 'optional',
): Delegation | Refusal {
  const claim = 'intent.delegation_chain'
  if (signed === 'required') {
    const reason = 'the token has the hash of a chain, but no signed assertions'
    return new Refusal('delegation_required', { reason, claim })
  }
  const [initiator] = allowedChain ?? []
  if (allowedChain === undefined || initiator === undefined) {
    const reason = 'the rule lists no chain with this hash'
    return new Refusal('delegation_not_allowed', { reason, claim, found: describe(intent.chainHash) })
  }
  const depth = allowedChain.length - 1
  return { hops: noHops, agents: allowedChain, initiator, isInitiatedByAgent: true, depth }
}

/** The listed chain with the hash of the token. Listed chains start with an agent, never with a user. */
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

function toDelegation(
  agents: readonly [initiator: string, ...delegatees: string[]],
  assertions: readonly Assertion[],
): Delegation {
  const hops: Hop[] = assertions.map(({ iss, sub, jti, scopes, exp }) =>
    Object.freeze({ from: iss, to: sub, tokenId: jti, scopes: Object.freeze([...scopes]), expiresAt: exp }),
  )
  return Object.freeze({
    hops: Object.freeze(hops),
    agents: Object.freeze(agents),
    initiator: agents[0],
    isInitiatedByAgent: true,
    depth: hops.length,
  })
}
