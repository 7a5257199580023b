import type { Answer, Decision, Denial } from '../decision.js'
import { type DecidedRequest, requestOf } from '../engine.js'
import type { AppliedRule } from '../grant.js'
import { createWarning } from '../lib/process-warning.js'
import { describe, Refusal } from '../refusal.js'
import {
  type AnswerForm,
  toHttpAnswer,
  toMalformedAnswer,
  toMessageAnswer,
  toUnknownAnswer,
} from './answer.js'
import { findHeaderMismatch, isModern, type McpFields, type McpHeaders, readFields } from './headers.js'
import { jsonRpc, MalformedMessage, type McpMessage, methodsWithoutBody, readMessage } from './message.js'
import type { ParsedRules } from './rules.js'
import { noMessage, type Target, targetOf } from './target.js'

/** A request with a message, and how to check it. */
export interface MessageCheck {
  readonly rules: ParsedRules
  /** The parsed body. */
  readonly body: unknown
  readonly decision: Decision
  readonly headers: McpHeaders
  readonly denials: 'auto' | 'http'
  /** Whether the request has this one message. Else each message counts in a limit. */
  readonly isOnlyMessage: boolean
}

/** The result of the check of one message. */
export interface MessageResult {
  /** The response to a denied message. */
  readonly refused: { readonly denial: Denial; readonly answer: Answer } | undefined
  /** The fields for the response of an allowed message. */
  readonly headers: Readonly<Record<string, string>>
  /** Whether every rule was met. False for a denial that is only observed: then there is no grant. */
  readonly isAllowed: boolean
}

const observed: MessageResult = { refused: undefined, headers: {}, isAllowed: false }

/**
 * Checks one message. Rejects with a TypeError if no verifier made the decision.
 */
export async function checkMessage(request: MessageCheck): Promise<MessageResult> {
  const { decision, headers } = request
  const known = requestOf(decision)
  if (known === undefined) {
    throw new TypeError(
      'decideMessage: no verifier made this decision. Pass the object that verify() returned, not a copy',
    )
  }
  if (decision.outcome === 'deny') return refuse(decision, toHttpAnswer(decision))
  if (hasNoMessage(known.method, request.body)) {
    // A CORS preflight that the policy lets pass. It reaches no tool.
    if (known.method === 'OPTIONS' && decision.outcome === 'public') return { ...observed, isAllowed: true }
    return applyRules(request, known, noMessage, formOf(request, readFields(headers), undefined))
  }
  const read = readMessage(request.body)
  if (read instanceof MalformedMessage) return refuseMalformed(request, known, read)
  const message = read.kind === 'call' ? read.message : undefined
  const fields = readFields(headers)
  const mismatch = findHeaderMismatch(fields, message)
  if (mismatch !== undefined) return refuseMalformed(request, known, mismatch)
  const form = formOf(request, fields, message)
  const target = message === undefined ? noMessage : targetOf(request.rules, message, form.isModern)
  if (target instanceof MalformedMessage) return refuseMalformed(request, known, target)
  return applyRules(request, known, target, form)
}

function formOf({ denials }: MessageCheck, fields: McpFields, message: McpMessage | undefined): AnswerForm {
  return { message, denials, isModern: isModern(fields, message) }
}

/** A stream is opened by GET, and a session ended by DELETE. Some parsers make an empty object of no body. */
function hasNoMessage(method: string, body: unknown): boolean {
  if (!methodsWithoutBody.has(method)) return false
  return body === undefined || body === null || (typeof body === 'object' && Object.keys(body).length === 0)
}

async function applyRules(
  request: MessageCheck,
  known: DecidedRequest,
  target: Target,
  form: AnswerForm,
): Promise<MessageResult> {
  const { decision } = request
  const { message } = form
  let isAllowed = decision.outcome === 'allow'
  const fields: Record<string, string> = {}
  for (const rule of toAppliedRules(request, known, target, message)) {
    const result = await known.engine.applyRule(decision, known.authorized, rule)
    if (result?.outcome === 'deny') return refuse(result, toMessageAnswer(result, form))
    if (result?.outcome === 'allow') Object.assign(fields, result.headers)
    else isAllowed = false
  }
  // The server may have filtered the list for this caller.
  if (message?.method.endsWith('/list')) fields['cache-control'] = 'private, no-store'
  if (target.unknown === undefined) return { refused: undefined, headers: fields, isAllowed }
  const refusal = new Refusal('tool_not_declared', {
    reason: `no rule names the ${target.unknown.what}`,
    found: describe(target.unknown.found),
    unverified: true,
  })
  const result = overrule(request, known, 'rule', refusal)
  return result.outcome === 'deny' ? refuse(result, toUnknownAnswer(result, target.unknown, form)) : observed
}

function toAppliedRules(
  { isOnlyMessage }: MessageCheck,
  { method, authorized, engine }: DecidedRequest,
  target: Target,
  message: McpMessage | undefined,
): readonly AppliedRule[] {
  const scopes = target.rules.map((rule) => engine.compile(rule).scope)
  return target.rules.map(({ data, place, target: name }) => ({
    data,
    params: authorized?.access.params ?? {},
    method,
    isPermanent: false,
    isOncePerRequest: isOnlyMessage,
    request: message,
    arguments: target.arguments,
    place,
    target: name,
    scopesBeside: scopes,
  }))
}

function refuseMalformed(
  request: MessageCheck,
  known: DecidedRequest,
  malformed: MalformedMessage,
): MessageResult {
  if (malformed.code === jsonRpc.parseError) warnAboutParser()
  const { reason, found } = malformed
  const cause =
    found === undefined ? { reason } : { reason, found: describe(found), unverified: true as const }
  const refusal = new Refusal('message_malformed', cause)
  const result = overrule(request, known, 'request', refusal)
  return result.outcome === 'deny' ? refuse(result, toMalformedAnswer(result, malformed)) : observed
}

/** A request that is only observed goes on. */
function overrule(
  { decision }: MessageCheck,
  { engine, method }: DecidedRequest,
  stage: 'request' | 'rule',
  refusal: Refusal,
): Decision {
  return engine.overrule(
    decision,
    stage,
    refusal,
    method,
    decision.outcome === 'observe' ? 'observe' : undefined,
  )
}

function refuse(denial: Denial, answer: Answer): MessageResult {
  return { refused: { denial, answer }, headers: {}, isAllowed: false }
}

const warnOnce = createWarning()

export function warnAboutParser(): void {
  warnOnce(
    'a request to an MCP server has no parsed JSON body: mount the JSON parser of the app, such as express.json(), in ' +
      'front of requireToolIntent and bindSessions. Until then every message is answered with 400. A client that sends another content ' +
      'type causes this warning too',
    'AJWT_NO_MESSAGE',
  )
}
