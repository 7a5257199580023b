import type { Algorithm } from '../jws/algorithms.js'
import { fits, importPublicKey, type PublicKey } from '../jws/jwk.js'
import { headerJwk, readCompact } from '../jws/jws.js'
import { sha256 } from '../jws/sha256.js'
import type { Json } from '../lib/json.js'
import { isObject } from '../lib/own.js'
import { isIdentifier } from '../lib/strings.js'
import { Refusal } from '../refusal.js'

const maxAssertionLength = 8 * 1024

/** A delegation assertion: well-formed, not yet verified. */
export interface Assertion {
  /** SHA-256 of the compact JWS, base64url. */
  readonly hash: string
  readonly algorithm: Algorithm
  /** The delegator's key, out of the header. */
  readonly key: PublicKey
  /** What the signature is over. */
  readonly input: string
  /** Base64url, and exact. */
  readonly signature: string
  /** The delegator. */
  readonly iss: string
  /** The delegatee. */
  readonly sub: string
  /** The thumbprint of the delegatee's key. */
  readonly delegateeThumbprint: string
  readonly audiences: readonly string[]
  readonly scopes: ReadonlySet<string>
  /** Seconds since the epoch. */
  readonly iat: number
  readonly exp: number
  readonly nbf: number | undefined
  readonly jti: string
  readonly workflowId: string | undefined
  readonly intentHash: string | undefined
  /** The hash of the assertion before it. */
  readonly prev: string | undefined
  /** How many values the claims hold: each takes memory of its own. */
  readonly valueCount: number
}

/**
 * Reads `intent.delegation`, outermost assertion first: no assertion where the token has none, and the code of
 * what is wrong where it cannot be read. The depth comes first, before any assertion costs a thing.
 */
export function readAssertions(
  delegation: Json | undefined,
  maxDepth: number,
  algorithms: ReadonlyMap<string, Algorithm>,
): readonly Assertion[] | Refusal {
  if (delegation === undefined) return []
  if (!Array.isArray(delegation) || delegation.length === 0 || !delegation.every(isString))
    return new Refusal('delegation_malformed', {
      reason: 'delegation is no array of strings',
      claim: 'intent.delegation',
    })
  if (delegation.length > maxDepth) return tooDeep(delegation.length, maxDepth)
  const assertions: Assertion[] = []
  for (const [hop, text] of (delegation as string[]).entries()) {
    const assertion = readAssertion(text, algorithms)
    if (assertion === undefined) {
      const reason = `assertion ${hop + 1} is no well-formed ajwt-delegation+jwt with an allowed alg and a fit jwk`
      return new Refusal('delegation_malformed', { reason, claim: 'intent.delegation' })
    }
    assertions.push(assertion)
  }
  return assertions
}

function isString(value: unknown): value is string {
  return typeof value === 'string'
}

function tooDeep(hops: number, maxDepth: number): Refusal {
  return new Refusal('delegation_too_deep', {
    reason: 'the token has more delegation assertions than the policy allows',
    claim: 'intent.delegation',
    expected: `at most ${maxDepth}`,
    found: String(hops),
  })
}

function readAssertion(text: string, algorithms: ReadonlyMap<string, Algorithm>): Assertion | undefined {
  const unverified = readCompact(text, maxAssertionLength)
  if (unverified?.header.typ !== 'ajwt-delegation+jwt') return undefined
  const algorithm = algorithms.get(unverified.header.alg)
  const jwk = headerJwk(unverified.header)
  const key = jwk && importPublicKey(jwk)
  if (algorithm === undefined || key === undefined || !fits(key, algorithm)) return undefined
  const claims = readClaims(unverified.payload)
  const { input, signature } = unverified
  const { valueCount } = unverified
  return claims && { hash: sha256(text), algorithm, key, input, signature, valueCount, ...claims }
}

type Claims = Omit<Assertion, 'hash' | 'algorithm' | 'key' | 'input' | 'signature' | 'valueCount'>

function readClaims(payload: Record<string, unknown>): Claims | undefined {
  const { iss, sub, cnf, aud, scope, iat, exp, nbf, jti, prev } = payload
  const { workflow_id: workflowId, intent_hash: intentHash } = payload
  const jkt = isObject(cnf) ? cnf.jkt : undefined
  const audiences = readAudiences(aud)
  if (!isAgentId(iss) || !isAgentId(sub) || !isIdentifier(jti)) return undefined
  if (typeof jkt !== 'string' || typeof scope !== 'string') return undefined
  if (typeof iat !== 'number' || typeof exp !== 'number') return undefined
  if (nbf !== undefined && typeof nbf !== 'number') return undefined
  if (audiences === undefined) return undefined
  if (workflowId !== undefined && !isIdentifier(workflowId)) return undefined
  if (!isOptionalText(intentHash) || !isOptionalText(prev)) return undefined
  return {
    iss,
    sub,
    delegateeThumbprint: jkt,
    audiences,
    scopes: new Set(scope.split(' ').filter((name) => name !== '')),
    iat,
    exp,
    nbf,
    jti,
    workflowId,
    intentHash,
    prev,
  }
}

function readAudiences(aud: unknown): readonly string[] | undefined {
  const audiences: unknown = typeof aud === 'string' ? [aud] : aud
  return Array.isArray(audiences) && audiences.every(isString) ? audiences : undefined
}

/** Enters a hash, whose parts "|" separates. */
function isAgentId(value: unknown): value is string {
  return isIdentifier(value) && !value.includes('|')
}

function isOptionalText(value: unknown): value is string | undefined {
  return value === undefined || typeof value === 'string'
}
