import { sha256 } from '#runtime'
import type { Algorithm } from '../jws/algorithms.js'
import { fits, importPublicKey, type PublicKey } from '../jws/jwk.js'
import { headerJwk, readCompact } from '../jws/jws.js'
import type { Json } from '../lib/json.js'
import { isObject } from '../lib/objects.js'
import { isIdentifier, isStringArray } from '../lib/strings.js'
import { maxAssertionLength } from '../protocol/limits.js'
import { delegationAssertionType } from '../protocol/token-types.js'
import { Refusal } from '../refusal.js'

/** A well-formed delegation assertion. Its signature is not verified yet. */
export interface Assertion {
  /** SHA-256 of the compact JWS, base64url. */
  readonly hash: string
  readonly algorithm: Algorithm
  /** The `jwk` of the header: the delegator's key. */
  readonly key: PublicKey
  /** The signing input (RFC 7515 section 5.2). */
  readonly input: string
  /** Canonical base64url. */
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
  /** The hash of the previous assertion. */
  readonly prev: string | undefined
  /** The number of values in the claims, for the estimate of their memory. */
  readonly valueCount: number
}

/**
 * Reads `intent.delegation`, outermost assertion first. Empty for a token without it. The depth is checked
 * before any assertion is read, so that a long list costs nothing.
 */
export function readAssertions(
  delegation: Json | undefined,
  maxDepth: number,
  algorithms: ReadonlyMap<string, Algorithm>,
): readonly Assertion[] | Refusal {
  if (delegation === undefined) return []
  if (!isStringArray(delegation) || delegation.length === 0)
    return malformed('delegation is not an array of strings, or is empty')
  if (delegation.length > maxDepth) return tooDeep(delegation.length, maxDepth)
  const assertions: Assertion[] = []
  for (const [hop, text] of delegation.entries()) {
    const assertion = readAssertion(text, algorithms)
    if (assertion === undefined)
      return malformed(
        `assertion ${hop + 1} is not an ajwt-delegation+jwt with an allowed alg and a matching jwk`,
      )
    assertions.push(assertion)
  }
  return assertions
}

function malformed(reason: string): Refusal {
  return new Refusal('delegation_malformed', { reason, claim: 'intent.delegation' })
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
  if (unverified?.header.typ !== delegationAssertionType) return undefined
  const algorithm = algorithms.get(unverified.header.alg)
  const jwk = headerJwk(unverified.header)
  const key = jwk && importPublicKey(jwk)
  if (algorithm === undefined || key === undefined || !fits(key, algorithm)) return undefined
  const claims = readClaims(unverified.payload)
  const { input, signature, valueCount } = unverified
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
  if (typeof aud === 'string') return [aud]
  return isStringArray(aud) ? aud : undefined
}

/** The chain hash joins agent ids with "|". */
function isAgentId(value: unknown): value is string {
  return isIdentifier(value) && !value.includes('|')
}

function isOptionalText(value: unknown): value is string | undefined {
  return value === undefined || typeof value === 'string'
}
