import type { Json } from '../decision.js'
import { hashIds } from '../delegation/chain-hash.js'
import { isBase64url } from '../jws/base64url.js'
import { thumbprintOfJwk } from '../jws/jwk.js'
import type { JsonObject } from '../jws/strict-json.js'
import { bare, isObject, withOwn } from '../lib/own.js'
import { isIdentifier, isSubject } from '../lib/strings.js'
import type { Profile } from '../policy/policy.js'
import { describe, Refusal } from '../refusal.js'
import type { DenialCode } from '../response/denials.js'

/** `intent` of a token (draft-goswami-agentic-jwt-00), every member of its type. */
export interface Intent {
  readonly workflowId: string | undefined
  readonly step: string | undefined
  readonly executedBy: string | undefined
  readonly initiatedBy: string | undefined
  /** Absent: an agent beside `delegation` or where `initiatedBy` is the executor, else unknown. */
  readonly initiatorType: 'agent' | 'user' | undefined
  readonly initiatorThumbprint: string | undefined
  /** The key of each delegator, as the issuer knows it: one for each assertion, in order. */
  readonly delegatorThumbprints: readonly string[] | undefined
  /** The draft's hash over the agents of the chain. */
  readonly chainHash: string | undefined
  readonly stepSequenceHash: string | undefined
  readonly hash: string | undefined
  /** The run that the token belongs to, named by the issuer. */
  readonly runId: string | undefined
  /** The delegation assertions, whatever they are: judged at a stage of their own. */
  readonly delegation: Json | undefined
}

/** A token whose signature verified and whose claims are all of their types. */
export interface IntentToken {
  readonly issuer: string
  readonly sub: string
  readonly jti: string
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
  /** How many values the claims hold, those within others included: each takes memory of its own. */
  readonly valueCount: number
}

const noIntent: Intent = Object.freeze({
  workflowId: undefined,
  step: undefined,
  executedBy: undefined,
  initiatedBy: undefined,
  initiatorType: undefined,
  initiatorThumbprint: undefined,
  delegatorThumbprints: undefined,
  chainHash: undefined,
  stepSequenceHash: undefined,
  hash: undefined,
  runId: undefined,
  delegation: undefined,
})

/** Ends the reading of a token: a required claim is missing, or one that decides is not of its type. */
class InvalidClaim extends Error {
  readonly refusal: Refusal

  constructor(claim: string, expected: string, value: unknown) {
    super(claim)
    const reason = `${claim} is ${value === undefined ? 'missing' : 'not of its type'}`
    this.refusal = new Refusal('claims_invalid', { reason, claim, expected, found: describe(value) })
  }
}

/**
 * Reads the claims of a token whose signature has verified; a Refusal (`claims_invalid`) where a required one is
 * missing or one that decides is not of its type (RFC 9068 section 2.2, RFC 7800 section 3).
 */
export function readIntentToken(
  payload: JsonObject,
  issuer: string,
  profile: Profile,
): IntentToken | Refusal {
  try {
    return read(payload, issuer, profile)
  } catch (error) {
    if (error instanceof InvalidClaim) return error.refusal
    throw error
  }
}

function read(
  { members, containers, valueCount }: JsonObject,
  issuer: string,
  profile: Profile,
): IntentToken {
  // Handlers get the claims themselves, and every request with this token the same object.
  for (const container of containers) Object.freeze(container)
  const inheritsSome =
    'sub' in bare ||
    'jti' in bare ||
    'iat' in bare ||
    'exp' in bare ||
    'nbf' in bare ||
    'aud' in bare ||
    'scope' in bare ||
    'cnf' in bare ||
    'agent_proof' in bare ||
    'intent' in bare ||
    'acr' in bare ||
    'amr' in bare ||
    'auth_time' in bare
  const claims = withOwn(members, inheritsSome)
  const isIntentToken = profile === 'ajwt'
  const id = isIntentToken ? identifier : subject
  const sub = id(claims.sub, 'sub')
  if (isIntentToken) withoutBar(sub, 'sub')
  const agent = isIntentToken
    ? readAgentClaims(object(claims.intent, 'intent'), object(claims.agent_proof, 'agent_proof'), sub)
    : readOptionalAgentClaims(claims.intent, claims.agent_proof, sub)
  const { cnf } = claims
  // A `cnf` of null is no absent one: a binding must not be lost by a slip of the issuer.
  if (isIntentToken) assertClaim(cnf !== undefined, 'cnf', 'an object', cnf)
  const notNull = isIntentToken ? same : absentIfNull
  return {
    issuer,
    sub,
    jti: id(claims.jti, 'jti'),
    iat: number(claims.iat, 'iat'),
    exp: number(claims.exp, 'exp'),
    nbf: optional(number, notNull(claims.nbf), 'nbf'),
    audiences: audiences(claims.aud),
    scopes: isIntentToken ? readScopes(claims.scope) : readAnyScopes(claims.scope),
    keyThumbprint: cnf === undefined ? undefined : readConfirmation(cnf),
    intent: agent?.intent ?? noIntent,
    checksum: agent?.checksum,
    registrationId: agent?.registrationId,
    user: readUser(claims),
    claims: members as IntentToken['claims'],
    valueCount,
  }
}

/** How the person was authenticated: only a rule with `user` needs it, so that another type counts as absent. */
function readUser({ acr, amr, auth_time }: ReturnType<typeof withOwn>): IntentToken['user'] {
  return {
    acr: typeof acr === 'string' && acr !== '' ? acr : undefined,
    amr: isStrings(amr) ? amr : undefined,
    authTime: typeof auth_time === 'number' ? auth_time : undefined,
  }
}

interface AgentClaims {
  readonly intent: Intent
  readonly checksum: string
  readonly registrationId: string
}

function readAgentClaims(
  intent: Record<string, unknown>,
  agentProof: Record<string, unknown>,
  sub: string,
): AgentClaims {
  const inheritsSome = 'agent_checksum' in bare || 'registration_id' in bare
  const { agent_checksum, registration_id } = withOwn(agentProof, inheritsSome)
  return {
    intent: readIntent(intent, sub),
    checksum: text(agent_checksum, 'agent_proof.agent_checksum'),
    registrationId: identifier(registration_id, 'agent_proof.registration_id'),
  }
}

/** Under profile `oauth` both claims are read where both have their required members, else they mean something else. */
function readOptionalAgentClaims(intent: unknown, agentProof: unknown, sub: string): AgentClaims | undefined {
  if (!isObject(intent) || !isObject(agentProof)) return undefined
  const { executed_by } = withOwn(intent, 'executed_by' in bare)
  const inheritsSome = 'agent_checksum' in bare || 'registration_id' in bare
  const { agent_checksum, registration_id } = withOwn(agentProof, inheritsSome)
  const isComplete =
    isIdentifier(executed_by) &&
    isIdentifier(registration_id) &&
    typeof agent_checksum === 'string' &&
    agent_checksum !== ''
  return isComplete ? readAgentClaims(intent, agentProof, sub) : undefined
}

function readIntent(value: Record<string, unknown>, sub: string): Intent {
  const inheritsSome =
    'workflow_id' in bare ||
    'workflow_step' in bare ||
    'executed_by' in bare ||
    'initiated_by' in bare ||
    'initiator_type' in bare ||
    'initiator_jkt' in bare ||
    'delegator_jkts' in bare ||
    'delegation' in bare ||
    'delegation_chain' in bare ||
    'step_sequence_hash' in bare ||
    'intent_hash' in bare ||
    'run_id' in bare
  const intent = withOwn(value, inheritsSome)
  const executedBy = identifier(intent.executed_by, 'intent.executed_by')
  assertClaim(executedBy === sub, 'intent.executed_by', 'the sub of the token', executedBy)
  const initiatedBy = optional(identifier, absentIfNull(intent.initiated_by), 'intent.initiated_by')
  const step = absentIfNull(intent.workflow_step)
  const chain = absentIfNull(intent.delegation_chain)
  return {
    workflowId: optional(identifier, absentIfNull(intent.workflow_id), 'intent.workflow_id'),
    step: step === undefined ? undefined : readStep(step, sub),
    executedBy,
    initiatedBy,
    chainHash: chain === undefined ? undefined : readChain(chain, sub, initiatedBy),
    stepSequenceHash: optional(text, absentIfNull(intent.step_sequence_hash), 'intent.step_sequence_hash'),
    hash: optional(text, absentIfNull(intent.intent_hash), 'intent.intent_hash'),
    runId: optional(identifier, absentIfNull(intent.run_id), 'intent.run_id'),
    ...readDelegators(intent, initiatedBy),
  }
}

type Delegators = Pick<
  Intent,
  'initiatorType' | 'initiatorThumbprint' | 'delegatorThumbprints' | 'delegation'
>

/** The issuer's word on who has delegated: needed where `delegation` is there. */
function readDelegators(intent: ReturnType<typeof withOwn>, initiatedBy: string | undefined): Delegators {
  const delegation = absentIfNull(intent.delegation)
  const initiatorType = optional(agentOrUser, absentIfNull(intent.initiator_type), 'intent.initiator_type')
  const jkt = 'intent.initiator_jkt'
  const initiatorThumbprint = optional(thumbprint, absentIfNull(intent.initiator_jkt), jkt)
  const jkts = 'intent.delegator_jkts'
  const delegatorThumbprints = optional(strings, absentIfNull(intent.delegator_jkts), jkts)
  if (delegation !== undefined) {
    assertClaim(initiatedBy !== undefined, 'intent.initiated_by', 'an id beside delegation', initiatedBy)
    assertClaim(initiatorType !== 'user', 'intent.initiator_type', '"agent" beside delegation', initiatorType)
    assertClaim(initiatorThumbprint !== undefined, jkt, 'a thumbprint beside delegation', undefined)
    const isChain = Array.isArray(delegation) && delegation.length > 1
    assertClaim(
      !isChain || delegatorThumbprints !== undefined,
      jkts,
      'a thumbprint for each assertion',
      undefined,
    )
  }
  return {
    initiatorType,
    initiatorThumbprint,
    delegatorThumbprints,
    delegation: delegation as Json | undefined,
  }
}

function readStep(step: unknown, sub: string): string {
  const name = 'intent.workflow_step'
  if (typeof step === 'string') return withoutBar(identifier(step, name), name)
  const inheritsSome = 'agent_id' in bare || 'tool_name' in bare || 'step_id' in bare
  const { agent_id, tool_name, step_id } = withOwn(object(step, name), inheritsSome)
  const agentId = absentIfNull(agent_id)
  assertClaim(agentId === undefined || agentId === sub, `${name}.agent_id`, 'the sub of the token', agentId)
  optional(text, absentIfNull(tool_name), `${name}.tool_name`)
  return withoutBar(identifier(step_id, `${name}.step_id`), `${name}.step_id`)
}

/** Some issuers send the ids of the chain in place of their hash; they count as the chain they hash to. */
function readChain(chain: unknown, sub: string, initiatedBy: string | undefined): string {
  const name = 'intent.delegation_chain'
  withoutBar(sub, 'sub')
  if (typeof chain === 'string') return chain
  const ids = strings(chain, name).map((id) => withoutBar(identifier(id, name), name))
  assertClaim(
    ids.length > 0 && ids[ids.length - 1] === sub,
    name,
    'a chain that ends in sub',
    ids[ids.length - 1],
  )
  const isFromInitiator = initiatedBy === undefined || ids[0] === initiatedBy
  assertClaim(isFromInitiator, name, 'a chain that begins with initiated_by', ids[0])
  return hashIds(ids)
}

/** Confirmation methods that are known and that nothing here checks: the token is bound to what nobody has shown. */
const uncheckedConfirmations = ['x5t#S256', 'jwe', 'jku']

/**
 * `cnf`: the thumbprint of the key, or the key itself (RFC 7800 section 3.2, RFC 9449 section 6.1). Members that are
 * not understood are ignored beside one that is (RFC 7800 section 3.1).
 */
function readConfirmation(value: unknown): string {
  const confirmation = object(value, 'cnf')
  const { jkt: stated, jwk } = withOwn(confirmation, 'jkt' in bare || 'jwk' in bare)
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

/** Those of the token before, which mostly has the same. */
let lastScopes: { readonly text: string; readonly scopes: readonly string[] } = {
  text: '',
  scopes: Object.freeze([]),
}

/** Only a blank separates scopes (RFC 6749 section 3.3). */
function readScopes(value: unknown): readonly string[] {
  assertClaim(
    value === undefined || typeof value === 'string',
    'scope',
    'a string of scopes separated by blanks',
    value,
  )
  const text = value ?? ''
  if (text !== lastScopes.text) {
    const scopes = [...new Set(text.split(' '))].filter((scope) => scope !== '')
    lastScopes = { text, scopes: Object.freeze(scopes) }
  }
  return lastScopes.scopes
}

const scopeToken = /^[\x21\x23-\x5b\x5d-\x7e]+$/

/** Many authorization servers send an array of scope tokens in place of the string. */
function readAnyScopes(value: unknown): readonly string[] {
  if (!Array.isArray(value)) return readScopes(absentIfNull(value))
  for (const scope of value) {
    const isScope = typeof scope === 'string' && scopeToken.test(scope)
    assertClaim(isScope, 'scope', 'an array of scope tokens', scope)
  }
  return Object.freeze([...new Set(value as string[])])
}

function audiences(value: unknown): readonly string[] {
  return typeof value === 'string' ? [value] : strings(value, 'aud')
}

function agentOrUser(value: unknown, claim: string): 'agent' | 'user' {
  assertClaim(value === 'agent' || value === 'user', claim, '"agent" or "user"', value)
  return value
}

function identifier(value: unknown, claim: string): string {
  assertClaim(isIdentifier(value), claim, '1 to 256 characters of printable ASCII', value)
  return value
}

/** RFC 7519 StringOrURI: names that are not ASCII occur. Compared as they are, never normalised. */
function subject(value: unknown, claim: string): string {
  assertClaim(isSubject(value), claim, '1 to 256 characters without controls', value)
  return value
}

function withoutBar(id: string, claim: string): string {
  assertClaim(!id.includes('|'), claim, 'an id without "|", which joins ids in a hash', id)
  return id
}

function thumbprint(value: unknown, claim: string): string {
  const isThumbprint = typeof value === 'string' && value.length === 43 && isBase64url(value)
  assertClaim(isThumbprint, claim, 'a thumbprint of 43 base64url characters', typeof value)
  return value as string
}

function text(value: unknown, claim: string): string {
  assertClaim(typeof value === 'string' && value !== '', claim, 'a string that is not empty', value)
  return value as string
}

function number(value: unknown, claim: string): number {
  assertClaim(typeof value === 'number', claim, 'a number', value)
  return value
}

function isStrings(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string')
}

function strings(value: unknown, claim: string): readonly string[] {
  assertClaim(isStrings(value), claim, 'an array of strings', value)
  return value
}

function object(value: unknown, claim: string): Record<string, unknown> {
  assertClaim(isObject(value), claim, 'an object', value)
  return value
}

function optional<T>(
  read: (value: unknown, claim: string) => T,
  value: unknown,
  claim: string,
): T | undefined {
  return value === undefined ? undefined : read(value, claim)
}

/** Issuers send `null` for what they do not have. */
function absentIfNull(value: unknown): unknown {
  return value === null ? undefined : value
}

function same(value: unknown): unknown {
  return value
}

function assertClaim(condition: boolean, claim: string, expected: string, found: unknown): asserts condition {
  if (!condition) throw new InvalidClaim(claim, expected, found)
}

/** What the clock says of a token, with the tolerance on the side of neither (RFC 7519 sections 4.1.4 to 4.1.6). */
export function checkTokenTime(
  token: IntentToken,
  now: number,
  limits: { readonly maxLifetime: number; readonly clockTolerance: number },
): Refusal | undefined {
  const { iat, exp, nbf } = token
  if (exp - iat > limits.maxLifetime) {
    const reason = `the token lives for ${Math.round(exp - iat)} s`
    return timeRefusal(
      token,
      'token_lifetime_exceeded',
      reason,
      'exp',
      `at most ${limits.maxLifetime} s`,
      exp,
    )
  }
  const latestStart = now + limits.clockTolerance
  if (iat > latestStart) {
    const reason = `iat lies ${Math.round(iat - now)} s ahead of this clock`
    return timeRefusal(token, 'token_not_yet_valid', reason, 'iat', `at most ${Math.floor(latestStart)}`, iat)
  }
  if (nbf !== undefined && nbf > latestStart) {
    const reason = `nbf lies ${Math.round(nbf - now)} s ahead of this clock`
    return timeRefusal(token, 'token_not_yet_valid', reason, 'nbf', `at most ${Math.floor(latestStart)}`, nbf)
  }
  if (now - limits.clockTolerance >= exp) {
    const reason = `the token expired ${Math.round(now - exp)} s ago`
    return timeRefusal(token, 'token_expired', reason, 'exp', `after ${Math.floor(now)}`, exp)
  }
  // Left over: a token that ends before it begins, both within the tolerance.
  if (exp >= iat) return undefined
  return timeRefusal(token, 'claims_invalid', 'exp lies before iat', 'exp', `at least ${iat}`, exp)
}

function timeRefusal(
  token: IntentToken,
  code: DenialCode,
  reason: string,
  claim: string,
  expected: string,
  found: number,
): Refusal {
  return new Refusal(code, { reason, claim, expected, found: String(found) }, undefined, token.sub)
}
