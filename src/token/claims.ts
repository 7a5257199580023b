import type { Json } from '../decision.js'
import { thumbprintOfJwk } from '../jws/jwk.js'
import { sha256 } from '../jws/sha256.js'
import type { JsonObject } from '../jws/strict-json.js'
import { isObject } from '../lib/own.js'
import type { ClaimNames, ClaimSources, CompiledIssuer, Pointer } from '../policy/issuer.js'
import { resolvePointer } from '../policy/json-pointer.js'
import type { Refusal } from '../refusal.js'
import {
  absentIfNull,
  assertClaim,
  InvalidClaim,
  identifier,
  isStrings,
  number,
  object,
  optional,
  strings,
  subject,
  thumbprint,
  withoutBar,
} from './claim-readers.js'
import { type Intent, noIntent, readAgentClaims, readOptionalAgentClaims } from './intent-claims.js'

/** A token whose signature verified and whose claims are all of their types. */
export interface IntentToken {
  /** `iss`. */
  readonly issuer: string
  /** The party that the token was issued for: `sub`, unless the issuer's entry says otherwise. */
  readonly subject: string
  /** The agent that executes: the subject, unless the issuer's entry says otherwise. */
  readonly agent: string
  /** Earlier actors (RFC 8693 section 4.1), the latest first: history, and never authority. */
  readonly actors: readonly string[]
  /** `jti`, or what the issuer's entry reads in its place. */
  readonly jti: string
  /** How long such a token may live, and by how much clocks may differ. Seconds. */
  readonly limits: { readonly maxLifetime: number; readonly clockTolerance: number }
  /** Seconds since the epoch. */
  readonly iat: number
  readonly exp: number
  readonly nbf: number | undefined
  readonly audiences: readonly string[]
  readonly scopes: readonly string[]
  /** The thumbprint of the key that the token is bound to; undefined where it is bound to none. */
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
  readonly claims: { readonly [name: string]: Json }
  /** What the claims that decide are called in causes. */
  readonly names: ClaimNames
  /** How many values the claims hold, those within others included: each takes memory of its own. */
  readonly valueCount: number
}

/**
 * Reads the claims of a token whose signature has verified; a Refusal (`claims_invalid`) where a required one is
 * missing or one that decides is not of its type (RFC 9068 section 2.2, RFC 7800 section 3). `input` is what the
 * signature is over.
 */
export function readIntentToken(
  payload: JsonObject,
  issuer: CompiledIssuer,
  input: string,
): IntentToken | Refusal {
  // Handlers get the claims themselves, and every request with this token the same object.
  for (const container of payload.containers) Object.freeze(container)
  try {
    return issuer.profile === 'ajwt'
      ? readAgenticToken(payload, issuer)
      : readOrdinaryToken(payload, issuer, input)
  } catch (error) {
    if (error instanceof InvalidClaim) return error.refusal
    throw error
  }
}

/** An intent token (draft-goswami-agentic-jwt-01): every claim is where the profile has it. */
function readAgenticToken({ members: claims, valueCount }: JsonObject, issuer: CompiledIssuer): IntentToken {
  const sub = withoutBar(identifier(claims.sub, 'sub'), 'sub')
  const { intent, checksum, registrationId } = readAgentClaims(
    object(claims.intent, 'intent'),
    object(claims.agent_proof, 'agent_proof'),
    sub,
  )
  assertClaim(claims.cnf !== undefined, 'cnf', 'an object', claims.cnf)
  return {
    issuer: issuer.name,
    subject: sub,
    agent: sub,
    actors: readActors(claims.act),
    jti: identifier(claims.jti, 'jti'),
    iat: number(claims.iat, 'iat'),
    exp: number(claims.exp, 'exp'),
    nbf: optional(number, claims.nbf, 'nbf'),
    limits: issuer.token,
    audiences: readAudiences(claims.aud, 'aud'),
    scopes: readScopes(claims.scope, 'scope'),
    keyThumbprint: readConfirmation(claims.cnf),
    intent,
    checksum,
    registrationId,
    user: readUser(claims),
    claims: claims as IntentToken['claims'],
    names: issuer.sources.names,
    valueCount,
  }
}

/** An ordinary access token (RFC 9068), whose claims are where the issuer's entry says. */
function readOrdinaryToken(
  { members: claims, valueCount }: JsonObject,
  issuer: CompiledIssuer,
  input: string,
): IntentToken {
  const { sources } = issuer
  const find = (pointers: readonly Pointer[]) => findFirst(claims as Json, pointers)
  const { names } = sources
  const principal = subject(find(sources.subject), names.subject)
  const scope = find(sources.scope)
  const { intent, checksum, registrationId } =
    readOptionalAgentClaims(claims.intent, claims.agent_proof, principal) ?? noAgentClaims
  // A `cnf` of null is no absent one: a binding must not be lost by a slip of the issuer.
  const { cnf } = claims
  return {
    issuer: issuer.name,
    subject: principal,
    agent: readAgent(claims, sources, issuer.name) ?? principal,
    actors: readActors(claims.act),
    jti: sources.id === 'hash' ? sha256(input) : subject(find(sources.id), names.id),
    iat: number(claims.iat, 'iat'),
    exp: number(claims.exp, 'exp'),
    nbf: optional(number, absentIfNull(claims.nbf), 'nbf'),
    limits: issuer.token,
    audiences: readAudiences(find(sources.audience), names.audience),
    scopes: Array.isArray(scope) ? readScopeList(scope, names.scope) : readScopes(scope, names.scope),
    keyThumbprint: cnf === undefined ? undefined : readConfirmation(cnf),
    intent,
    checksum,
    registrationId,
    user: readUser(claims),
    claims: claims as IntentToken['claims'],
    names,
    valueCount,
  }
}

const noAgentClaims = { intent: noIntent, checksum: undefined, registrationId: undefined }

/** What the first pointer that finds something finds; null is nothing. */
function findFirst(claims: Json, pointers: readonly Pointer[]): Json | undefined {
  for (const pointer of pointers) {
    const value = resolvePointer(claims, pointer)
    if (value !== undefined && value !== null) return value
  }
  return undefined
}

/** The acting agent, where the issuer's entry says where it is: never another claim in its place. */
function readAgent(
  claims: JsonObject['members'],
  { agent, names }: ClaimSources,
  issuer: string,
): string | undefined {
  if (agent === undefined) return undefined
  if (agent[0] === 'act' && isObject(claims.act)) {
    // An actor of another issuer is somebody else, whatever the name (RFC 8693 section 4.1).
    const { iss } = claims.act
    assertClaim(iss === undefined || iss === null || iss === issuer, 'act.iss', issuer, iss)
  }
  return subject(resolvePointer(claims as Json, agent), names.agent)
}

/** The agent of a token that is refused for its claims, where they name one: the issuer has vouched for them. */
export function agentOf({ members }: JsonObject, { sources }: CompiledIssuer): string | undefined {
  const claims = members as Json
  const agent = sources.agent ? resolvePointer(claims, sources.agent) : findFirst(claims, sources.subject)
  return typeof agent === 'string' ? agent : undefined
}

/** The actors before the current one. Only what has the form of RFC 8693 is told. */
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

/** How the person was authenticated: only a rule with `user` needs it, so that another type counts as absent. */
function readUser({ acr, amr, auth_time }: Readonly<Record<string, unknown>>): IntentToken['user'] {
  return {
    acr: typeof acr === 'string' && acr !== '' ? acr : undefined,
    amr: isStrings(amr) ? amr : undefined,
    authTime: typeof auth_time === 'number' ? auth_time : undefined,
  }
}

/** Confirmation methods that are known and that nothing here checks: the token is bound to what nobody has shown. */
const uncheckedConfirmations = ['x5t#S256', 'jwe', 'jku']

/**
 * `cnf`: the thumbprint of the key, or the key itself (RFC 7800 section 3.2, RFC 9449 section 6.1). Members that are
 * not understood are ignored beside one that is (RFC 7800 section 3.1).
 */
function readConfirmation(value: unknown): string {
  const confirmation = object(value, 'cnf')
  const { jkt: stated, jwk } = confirmation
  for (const name of uncheckedConfirmations) {
    assertClaim(
      !Object.hasOwn(confirmation, name),
      `cnf.${name}`,
      'a confirmation by jkt or jwk',
      'another method',
    )
  }
  const jkt = optional(thumbprint, stated, 'cnf.jkt')
  if (jwk === undefined) {
    assertClaim(jkt !== undefined, 'cnf', 'jkt or jwk', 'neither')
    return jkt
  }
  const computed = thumbprintOfJwk(object(jwk, 'cnf.jwk'))
  assertClaim(computed !== undefined, 'cnf.jwk', 'a public key', 'no usable public key')
  assertClaim(
    jkt === undefined || jkt === computed,
    'cnf.jkt',
    'the thumbprint of cnf.jwk',
    'another thumbprint',
  )
  return computed
}

/** Only a blank separates scopes (RFC 6749 section 3.3). An absent scope is the empty set. */
function readScopes(value: unknown, claim: string): readonly string[] {
  if (value === undefined) return noScopes
  assertClaim(typeof value === 'string', claim, 'a string of scopes separated by blanks', value)
  return Object.freeze([...new Set(value.split(' '))].filter((scope) => scope !== ''))
}

const noScopes: readonly string[] = Object.freeze([])

const scopeToken = /^[\x21\x23-\x5b\x5d-\x7e]+$/

/** Many authorization servers send an array of scope tokens in place of the string. */
function readScopeList(scopes: readonly unknown[], claim: string): readonly string[] {
  const names = new Set<string>()
  for (const scope of scopes) {
    assertClaim(typeof scope === 'string' && scopeToken.test(scope), claim, 'an array of scope tokens', scope)
    names.add(scope)
  }
  return Object.freeze([...names])
}

function readAudiences(value: unknown, claim: string): readonly string[] {
  return typeof value === 'string' ? [value] : strings(value, claim)
}
