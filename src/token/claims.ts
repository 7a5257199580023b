import { sha256 } from '#runtime'
import { thumbprintOfJwk } from '../jws/jwk.js'
import type { JsonObject } from '../jws/strict-json.js'
import type { Json, JsonMembers } from '../lib/json.js'
import { isObject } from '../lib/objects.js'
import { isStringArray } from '../lib/strings.js'
import type { ClaimNames, ClaimSources, CompiledIssuer, Pointer } from '../policy/issuer.js'
import { resolvePointer } from '../policy/json-pointer.js'
import type { Refusal } from '../refusal.js'
import {
  absentIfNull,
  assertClaim,
  InvalidClaim,
  readHashableIdentifier,
  readIdentifier,
  readNumber,
  readObject,
  readOptional,
  readStringArray,
  readSubject,
  readThumbprint,
} from './claim-readers.js'
import { emptyIntent, type Intent, readAgentClaims, readOptionalAgentClaims } from './intent-claims.js'

/** The claims of an access token whose signature has verified. Every claim has its type. */
export interface TokenClaims {
  /** `iss`. */
  readonly issuer: string
  /** `sub`, or the claim that the issuer's entry names. */
  readonly subject: string
  /** The agent that sends the request: the subject, or the claim that the issuer's entry names. */
  readonly agent: string
  /** Earlier actors, the latest first. They are history and grant nothing (RFC 8693 section 4.1). */
  readonly actors: readonly string[]
  /** `jti`, or the id that the issuer's entry names. */
  readonly jti: string
  /** The longest allowed lifetime, and the tolerance for clock differences. Seconds. */
  readonly limits: { readonly maxLifetime: number; readonly clockTolerance: number }
  /** Seconds since the epoch. */
  readonly iat: number
  readonly exp: number
  readonly nbf: number | undefined
  readonly audiences: readonly string[]
  readonly scopes: readonly string[]
  /** The thumbprint of the key that the token is bound to. Undefined for an unbound token. */
  readonly keyThumbprint: string | undefined
  readonly intent: Intent
  readonly checksum: string | undefined
  readonly registrationId: string | undefined
  readonly user: {
    readonly acr: string | undefined
    readonly amr: readonly string[] | undefined
    /** Seconds since the epoch. */
    readonly authTime: number | undefined
  }
  readonly claims: JsonMembers
  /** Names of claims for the causes of denials. */
  readonly names: ClaimNames
  /** The number of values in the claims, nested ones included. For the estimate of their memory. */
  readonly valueCount: number
}

/**
 * Reads the claims of a token whose signature has verified. `input` is its signing input. Refuses with
 * `claims_invalid` if a claim is missing or has the wrong type (RFC 9068 section 2.2, RFC 7800 section 3).
 */
export function readTokenClaims(
  payload: JsonObject,
  issuer: CompiledIssuer,
  input: string,
): TokenClaims | Refusal {
  // All requests with this token share this object, and handlers receive it.
  for (const container of payload.containers) Object.freeze(container)
  try {
    return issuer.profile === 'ajwt'
      ? readIntentToken(payload, issuer)
      : readOAuthToken(payload, issuer, input)
  } catch (error) {
    if (error instanceof InvalidClaim) return error.refusal
    throw error
  }
}

/** Profile `ajwt`: an intent token (draft-goswami-agentic-jwt-01). */
function readIntentToken({ members: claims, valueCount }: JsonObject, issuer: CompiledIssuer): TokenClaims {
  const sub = readHashableIdentifier(claims.sub, 'sub')
  const { intent, checksum, registrationId } = readAgentClaims(
    readObject(claims.intent, 'intent'),
    readObject(claims.agent_proof, 'agent_proof'),
    sub,
  )
  assertClaim(claims.cnf !== undefined, 'cnf', 'an object', claims.cnf)
  return {
    issuer: issuer.name,
    subject: sub,
    agent: sub,
    actors: readActors(claims.act),
    jti: readIdentifier(claims.jti, 'jti'),
    iat: readNumber(claims.iat, 'iat'),
    exp: readNumber(claims.exp, 'exp'),
    nbf: readOptional(readNumber, claims.nbf, 'nbf'),
    limits: issuer.token,
    audiences: readAudiences(claims.aud, 'aud'),
    scopes: readScopes(claims.scope, 'scope'),
    keyThumbprint: readConfirmation(claims.cnf),
    intent,
    checksum,
    registrationId,
    user: readUser(claims),
    claims,
    names: issuer.sources.names,
    valueCount,
  }
}

/** Profile `oauth`: an access token (RFC 9068) with its claims where the issuer's entry says. */
function readOAuthToken(
  { members: claims, valueCount }: JsonObject,
  issuer: CompiledIssuer,
  input: string,
): TokenClaims {
  const { sources } = issuer
  const find = (pointers: readonly Pointer[]) => findFirst(claims, pointers)
  const { names } = sources
  const principal = readSubject(find(sources.subject), names.subject)
  const scope = find(sources.scope)
  const { intent, checksum, registrationId } =
    readOptionalAgentClaims(claims.intent, claims.agent_proof, principal) ?? noAgentClaims
  // A `cnf` of null is an error, not an absent claim: a mistake of the issuer must not remove the binding.
  const { cnf } = claims
  return {
    issuer: issuer.name,
    subject: principal,
    agent: readAgent(claims, sources, issuer.name) ?? principal,
    actors: readActors(claims.act),
    jti: sources.id === 'hash' ? sha256(input) : readSubject(find(sources.id), names.id),
    iat: readNumber(claims.iat, 'iat'),
    exp: readNumber(claims.exp, 'exp'),
    nbf: readOptional(readNumber, absentIfNull(claims.nbf), 'nbf'),
    limits: issuer.token,
    audiences: readAudiences(find(sources.audience), names.audience),
    scopes: Array.isArray(scope) ? readScopeList(scope, names.scope) : readScopes(scope, names.scope),
    keyThumbprint: cnf === undefined ? undefined : readConfirmation(cnf),
    intent,
    checksum,
    registrationId,
    user: readUser(claims),
    claims,
    names,
    valueCount,
  }
}

const noAgentClaims = { intent: emptyIntent, checksum: undefined, registrationId: undefined }

/** The value of the first pointer that finds one. Null counts as absent. */
function findFirst(claims: JsonMembers, pointers: readonly Pointer[]): Json | undefined {
  for (const pointer of pointers) {
    const value = resolvePointer(claims, pointer)
    if (value !== undefined && value !== null) return value
  }
  return undefined
}

/** The acting agent, if the issuer's entry names a claim for it. There is no fallback to another claim. */
function readAgent(claims: JsonMembers, { agent, names }: ClaimSources, issuer: string): string | undefined {
  if (agent === undefined) return undefined
  if (agent[0] === 'act' && isObject(claims.act)) {
    // The same name at another issuer is another actor (RFC 8693 section 4.1).
    const { iss } = claims.act
    assertClaim(iss === undefined || iss === null || iss === issuer, 'act.iss', issuer, iss)
  }
  return readSubject(resolvePointer(claims, agent), names.agent)
}

/** The agent of a token that is refused for its claims, for telemetry. The signature has verified. */
export function findAgent({ members: claims }: JsonObject, { sources }: CompiledIssuer): string | undefined {
  const agent = sources.agent ? resolvePointer(claims, sources.agent) : findFirst(claims, sources.subject)
  return typeof agent === 'string' ? agent : undefined
}

/** The actors before the current one. Stops at the first that does not have the form of RFC 8693. */
function readActors(act: unknown): readonly string[] {
  const actors: string[] = []
  let actor = isObject(act) ? act.act : undefined
  while (isObject(actor) && typeof actor.sub === 'string') {
    actors.push(actor.sub)
    actor = actor.act
  }
  return actors.length === 0 ? noActors : Object.freeze(actors)
}

const noActors: readonly string[] = Object.freeze([])

/** Only rules with `user` need these claims, so a claim with the wrong type counts as absent. */
function readUser({ acr, amr, auth_time }: Readonly<Record<string, unknown>>): TokenClaims['user'] {
  return {
    acr: typeof acr === 'string' && acr !== '' ? acr : undefined,
    amr: isStringArray(amr) ? amr : undefined,
    authTime: typeof auth_time === 'number' ? auth_time : undefined,
  }
}

/** Confirmation methods that are not checked. Ignoring one would accept a token without its binding. */
const unsupportedConfirmations = ['x5t#S256', 'jwe', 'jku']

/**
 * Reads `cnf`: the thumbprint of a key, or the key (RFC 7800 section 3.2, RFC 9449 section 6.1). Beside one
 * of them, unknown members are ignored (RFC 7800 section 3.1).
 */
function readConfirmation(value: Json): string {
  const confirmation = readObject(value, 'cnf')
  const { jkt: stated, jwk } = confirmation
  for (const name of unsupportedConfirmations) {
    const isAbsent = !Object.hasOwn(confirmation, name)
    assertClaim(isAbsent, `cnf.${name}`, 'a confirmation by jkt or jwk', 'another method')
  }
  const jkt = readOptional(readThumbprint, stated, 'cnf.jkt')
  if (jwk === undefined) {
    assertClaim(jkt !== undefined, 'cnf', 'jkt or jwk', 'neither')
    return jkt
  }
  const computed = thumbprintOfJwk(readObject(jwk, 'cnf.jwk'))
  assertClaim(computed !== undefined, 'cnf.jwk', 'a public key', 'no usable public key')
  const isSameKey = jkt === undefined || jkt === computed
  assertClaim(isSameKey, 'cnf.jkt', 'the thumbprint of cnf.jwk', 'another thumbprint')
  return computed
}

/** Only spaces separate scopes (RFC 6749 section 3.3). An absent scope is the empty set. */
function readScopes(value: unknown, claim: string): readonly string[] {
  if (value === undefined) return noScopes
  assertClaim(typeof value === 'string', claim, 'a string of scopes separated by spaces', value)
  return Object.freeze([...new Set(value.split(' '))].filter((scope) => scope !== ''))
}

const noScopes: readonly string[] = Object.freeze([])

/** RFC 6749 section 3.3. */
const scopeToken = /^[\x21\x23-\x5b\x5d-\x7e]+$/

/** Many authorization servers send an array of scope tokens instead of the string. */
function readScopeList(scopes: readonly unknown[], claim: string): readonly string[] {
  const names = new Set<string>()
  for (const scope of scopes) {
    assertClaim(typeof scope === 'string' && scopeToken.test(scope), claim, 'an array of scope tokens', scope)
    names.add(scope)
  }
  return Object.freeze([...names])
}

function readAudiences(value: unknown, claim: string): readonly string[] {
  return typeof value === 'string' ? [value] : readStringArray(value, claim)
}
