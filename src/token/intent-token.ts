import type { Json } from '../decision.js'
import type { DenialCode } from '../denials.js'
import { hashIds } from '../intent/chain-hash.js'
import { isObject, own } from '../jose/own.js'
import { thumbprintOfJwk } from '../jose/public-key.js'
import type { Profile } from '../policy/policy.js'

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
  payload: Record<string, unknown>,
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

function read(payload: Record<string, unknown>, issuer: string, profile: Profile): IntentToken {
  const isAjwt = profile === 'ajwt'
  const sub = identifier(own(payload, 'sub'))
  if (isAjwt) withoutBar(sub)
  const proof = own(payload, 'agent_proof')
  const confirmation = own(payload, 'cnf')
  const intent = own(payload, 'intent')
  if (isAjwt) demand(proof !== undefined && confirmation !== undefined && intent !== undefined)
  const agentProof = proof === undefined ? undefined : object(proof)
  return {
    issuer,
    sub,
    jti: identifier(own(payload, 'jti')),
    iat: number(own(payload, 'iat')),
    exp: number(own(payload, 'exp')),
    nbf: optional(number, own(payload, 'nbf')),
    audiences: audiences(own(payload, 'aud')),
    scopes: readScopes(own(payload, 'scope')),
    keyThumbprint: optional(readConfirmation, confirmation),
    intent: intent === undefined ? noIntent : readIntent(object(intent), sub),
    checksum: agentProof && text(own(agentProof, 'agent_checksum')),
    registrationId: agentProof && identifier(own(agentProof, 'registration_id')),
    user: {
      acr: optional(text, own(payload, 'acr')),
      amr: optional(strings, own(payload, 'amr')),
      authTime: optional(number, own(payload, 'auth_time')),
    },
    claims: payload as IntentToken['claims'],
    valueCount: freezeAll(payload),
  }
}

function readIntent(intent: Record<string, unknown>, sub: string): Intent {
  const executedBy = identifier(own(intent, 'executed_by'))
  demand(executedBy === sub)
  const initiatedBy = optional(identifier, own(intent, 'initiated_by'))
  const delegation = own(intent, 'delegation')
  const initiatorThumbprint = optional(thumbprint, own(intent, 'initiator_jkt'))
  if (delegation !== undefined) demand(initiatedBy !== undefined && initiatorThumbprint !== undefined)
  return {
    workflowId: optional(identifier, own(intent, 'workflow_id')),
    step: optional((step) => readStep(step, sub), own(intent, 'workflow_step')),
    executedBy,
    initiatedBy,
    initiatorThumbprint,
    chainHash: optional((chain) => readChain(chain, sub, initiatedBy), own(intent, 'delegation_chain')),
    stepSequenceHash: optional(text, own(intent, 'step_sequence_hash')),
    hash: optional(text, own(intent, 'intent_hash')),
    delegation: delegation as Json | undefined,
  }
}

function readStep(step: unknown, sub: string): string {
  if (typeof step === 'string') return withoutBar(identifier(step))
  const details = object(step)
  const agent = own(details, 'agent_id')
  demand(agent === undefined || agent === sub)
  optional(text, own(details, 'tool_name'))
  return withoutBar(identifier(own(details, 'step_id')))
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
  const jkt = optional(thumbprint, own(confirmation, 'jkt'))
  const jwk = own(confirmation, 'jwk')
  demand(Object.keys(confirmation).every((name) => name === 'jkt' || name === 'jwk'))
  if (jwk === undefined) return present(jkt)
  const computed = present(thumbprintOfJwk(object(jwk)))
  demand(jkt === undefined || jkt === computed)
  return computed
}

/** Only a blank separates scopes (RFC 6749 section 3.3). */
function readScopes(value: unknown): readonly string[] {
  if (value === undefined) return Object.freeze([])
  const scopes = anyText(value).split(' ')
  const isPlain =
    scopes.length <= 8 && scopes.every((scope, at) => scope !== '' && scopes.indexOf(scope) === at)
  return Object.freeze(isPlain ? scopes : [...new Set(scopes)].filter((scope) => scope !== ''))
}

function audiences(value: unknown): readonly string[] {
  return typeof value === 'string' ? [value] : strings(value)
}

function identifier(value: unknown): string {
  demand(typeof value === 'string' && /^[\x20-\x7e]{1,256}$/.test(value))
  return value as string
}

function withoutBar(id: string): string {
  demand(!id.includes('|'))
  return id
}

function thumbprint(value: unknown): string {
  demand(typeof value === 'string' && /^[A-Za-z0-9_-]{43}$/.test(value))
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

/** A handler gets the claims themselves, and every request with this token the same ones. Gives the number of values. */
function freezeAll(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 1
  let count = 1
  for (const name of Object.keys(value)) count += freezeAll((value as Record<string, unknown>)[name])
  Object.freeze(value)
  return count
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
