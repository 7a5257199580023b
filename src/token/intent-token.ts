import type { Json } from '../decision.js'
import type { DenialCode } from '../denials.js'
import { hashIds } from '../intent/chain-hash.js'
import { isBase64url } from '../jose/base64url.js'
import { bare, isObject, withOwn } from '../jose/own.js'
import { thumbprintOfJwk } from '../jose/public-key.js'
import type { JsonObject } from '../jose/strict-json.js'
import type { Profile } from '../policy/policy.js'
import { isIdentifier } from '../text.js'

/** `intent` of a token (draft-goswami-agentic-jwt-00), every member of its type. */
export interface Intent {
  readonly workflowId: string | undefined
  readonly step: string | undefined
  readonly executedBy: string | undefined
  readonly initiatedBy: string | undefined
  readonly initiatorThumbprint: string | undefined
  /** The draft's hash over the agents of the chain. */
  readonly chainHash: string | undefined
  readonly stepSequenceHash: string | undefined
  readonly hash: string | undefined
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
  initiatorThumbprint: undefined,
  chainHash: undefined,
  stepSequenceHash: undefined,
  hash: undefined,
  delegation: undefined,
})

/** Any claim that is missing or not of its type ends the reading here. */
class InvalidClaim extends Error {}

/**
 * Reads the claims of a token whose signature has verified; undefined (`claims_invalid`) where a required one
 * is missing or any is not of its type (RFC 9068 section 2.2, RFC 7800 section 3).
 */
export function readIntentToken(
  payload: JsonObject,
  issuer: string,
  profile: Profile,
): IntentToken | undefined {
  try {
    return read(payload, issuer, profile)
  } catch (error) {
    if (error instanceof InvalidClaim) return undefined
    throw error
  }
}

function read(
  { members, containers, valueCount }: JsonObject,
  issuer: string,
  profile: Profile,
): IntentToken {
  // A handler gets the claims themselves, and every request with this token the same ones.
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
  const { cnf, agent_proof, intent } = claims
  const sub = identifier(claims.sub)
  if (profile === 'ajwt') {
    withoutBar(sub)
    demand(agent_proof !== undefined && cnf !== undefined && intent !== undefined)
  }
  const agent = agent_proof === undefined ? undefined : readAgentProof(object(agent_proof))
  return {
    issuer,
    sub,
    jti: identifier(claims.jti),
    iat: number(claims.iat),
    exp: number(claims.exp),
    nbf: optional(number, claims.nbf),
    audiences: audiences(claims.aud),
    scopes: readScopes(claims.scope),
    keyThumbprint: optional(readConfirmation, cnf),
    intent: intent === undefined ? noIntent : readIntent(object(intent), sub),
    checksum: agent?.checksum,
    registrationId: agent?.registrationId,
    user: {
      acr: optional(text, claims.acr),
      amr: optional(strings, claims.amr),
      authTime: optional(number, claims.auth_time),
    },
    claims: members as IntentToken['claims'],
    valueCount,
  }
}

function readAgentProof(proof: Record<string, unknown>): { checksum: string; registrationId: string } {
  const inheritsSome = 'agent_checksum' in bare || 'registration_id' in bare
  const { agent_checksum, registration_id } = withOwn(proof, inheritsSome)
  return { checksum: text(agent_checksum), registrationId: identifier(registration_id) }
}

function readIntent(value: Record<string, unknown>, sub: string): Intent {
  const inheritsSome =
    'workflow_id' in bare ||
    'workflow_step' in bare ||
    'executed_by' in bare ||
    'initiated_by' in bare ||
    'initiator_jkt' in bare ||
    'delegation' in bare ||
    'delegation_chain' in bare ||
    'step_sequence_hash' in bare ||
    'intent_hash' in bare
  const intent = withOwn(value, inheritsSome)
  const { delegation } = intent
  const executedBy = identifier(intent.executed_by)
  demand(executedBy === sub)
  const initiatedBy = optional(identifier, intent.initiated_by)
  const initiatorThumbprint = optional(thumbprint, intent.initiator_jkt)
  if (delegation !== undefined) demand(initiatedBy !== undefined && initiatorThumbprint !== undefined)
  const { workflow_step, delegation_chain } = intent
  return {
    workflowId: optional(identifier, intent.workflow_id),
    step: workflow_step === undefined ? undefined : readStep(workflow_step, sub),
    executedBy,
    initiatedBy,
    initiatorThumbprint,
    chainHash: delegation_chain === undefined ? undefined : readChain(delegation_chain, sub, initiatedBy),
    stepSequenceHash: optional(text, intent.step_sequence_hash),
    hash: optional(text, intent.intent_hash),
    delegation: delegation as Json | undefined,
  }
}

function readStep(step: unknown, sub: string): string {
  if (typeof step === 'string') return withoutBar(identifier(step))
  const inheritsSome = 'agent_id' in bare || 'tool_name' in bare || 'step_id' in bare
  const { agent_id, tool_name, step_id } = withOwn(object(step), inheritsSome)
  demand(agent_id === undefined || agent_id === sub)
  optional(text, tool_name)
  return withoutBar(identifier(step_id))
}

/** Some issuers send the ids of the chain in place of their hash; they count as the chain they hash to. */
function readChain(chain: unknown, sub: string, initiatedBy: string | undefined): string {
  withoutBar(sub)
  if (typeof chain === 'string') return chain
  const ids = strings(chain).map((id) => withoutBar(identifier(id)))
  demand(ids.length > 0 && ids[ids.length - 1] === sub)
  demand(initiatedBy === undefined || ids[0] === initiatedBy)
  return hashIds(ids)
}

/**
 * `cnf`: the thumbprint of the key, or the key itself (RFC 7800 section 3.2, RFC 9449 section 6.1). A method
 * that cannot be checked here, such as a certificate, binds the token to something nobody has shown.
 */
function readConfirmation(value: unknown): string {
  const confirmation = object(value)
  const { jkt: stated, jwk } = withOwn(confirmation, 'jkt' in bare || 'jwk' in bare)
  const jkt = optional(thumbprint, stated)
  demand(Object.keys(confirmation).every((name) => name === 'jkt' || name === 'jwk'))
  if (jwk === undefined) return present(jkt)
  const computed = present(thumbprintOfJwk(object(jwk)))
  demand(jkt === undefined || jkt === computed)
  return computed
}

/** Those of the token before, which mostly has the same. */
let lastScopes: { readonly text: string; readonly scopes: readonly string[] } = {
  text: '',
  scopes: Object.freeze([]),
}

/** Only a blank separates scopes (RFC 6749 section 3.3). */
function readScopes(value: unknown): readonly string[] {
  const text = value === undefined ? '' : anyText(value)
  if (text !== lastScopes.text) {
    const scopes = [...new Set(text.split(' '))].filter((scope) => scope !== '')
    lastScopes = { text, scopes: Object.freeze(scopes) }
  }
  return lastScopes.scopes
}

function audiences(value: unknown): readonly string[] {
  return typeof value === 'string' ? [value] : strings(value)
}

function identifier(value: unknown): string {
  demand(isIdentifier(value))
  return value as string
}

function withoutBar(id: string): string {
  demand(!id.includes('|'))
  return id
}

function thumbprint(value: unknown): string {
  demand(typeof value === 'string' && value.length === 43 && isBase64url(value))
  return value as string
}

function text(value: unknown): string {
  demand(typeof value === 'string' && value !== '')
  return value as string
}

function anyText(value: unknown): string {
  demand(typeof value === 'string')
  return value as string
}

function number(value: unknown): number {
  demand(typeof value === 'number')
  return value as number
}

function strings(value: unknown): readonly string[] {
  demand(Array.isArray(value) && value.every((item) => typeof item === 'string'))
  return value as string[]
}

function object(value: unknown): Record<string, unknown> {
  demand(isObject(value))
  return value as Record<string, unknown>
}

function optional<T>(read: (value: unknown) => T, value: unknown): T | undefined {
  return value === undefined ? undefined : read(value)
}

function present<T>(value: T | undefined): T {
  demand(value !== undefined)
  return value as T
}

function demand(condition: boolean): void {
  if (!condition) throw new InvalidClaim()
}

/** What the clock says of a token, with the tolerance on the side of neither (RFC 7519 sections 4.1.4 to 4.1.6). */
export function checkTokenTime(
  token: IntentToken,
  now: number,
  limits: { readonly maxLifetime: number; readonly clockTolerance: number },
): DenialCode | undefined {
  if (token.exp - token.iat > limits.maxLifetime) return 'token_lifetime_exceeded'
  const latestStart = now + limits.clockTolerance
  if (token.iat > latestStart || (token.nbf !== undefined && token.nbf > latestStart))
    return 'token_not_yet_valid'
  if (now - limits.clockTolerance >= token.exp) return 'token_expired'
  // Left over: a token that ends before it begins, both within the tolerance.
  return token.exp < token.iat ? 'claims_invalid' : undefined
}
