import type { Answer } from '../decision.js'
import { PolicyError } from '../policy/error.js'
import { isRefusal, Refusal } from '../refusal.js'
import { mediaTypeOf } from '../request/content.js'
import { memorySessionStore } from '../stores/memory/sessions.js'
import type { SessionStore } from '../stores/store.js'
import { toHttpAnswer, toMalformedAnswer } from './answer.js'
import { warnAboutParser } from './check-message.js'
import { createEventReader } from './event-reader.js'
import { createDecidedMiddleware, type DecidedExchange } from './http/decided-middleware.js'
import type { AnyMiddleware, Exchange } from './http/exchange.js'
import {
  type BodyFilter,
  isEventStream,
  type ResponseFilter,
  type ResponseHead,
} from './http/response-filter.js'
import { errorAnswer, requestIdOf } from './json-rpc.js'
import { jsonRpc, MalformedMessage, methodsWithoutBody } from './message.js'
import { createOwnership, type Ownership } from './ownership.js'
import { sessionOwner } from './session-owner.js'
import { readsTasks, requestedTasks, resultTasks } from './task-ids.js'

export interface BindSessionsOptions {
  /** Default: a `memorySessionStore()`. A fleet needs one that is shared, such as `redisSessionStore`. */
  store?: SessionStore
}

const FIELD = 'mcp-session-id'

/** Visible ASCII, as the transport of MCP has it ("Session Management"). */
const ID = /^[!-~]{1,1024}$/

/** The owner of what is made without credentials, on a public or anonymous route. */
const NOBODY = '[]'

/** A blank is in no session id: no session has the key of a task. */
const taskKey = (id: string) => `task ${id}`

/**
 * Middleware that binds the sessions and tasks of an MCP server to their owners: issuer, subject, agent and
 * initiator of the grant. Mount it behind `ajwt` and the JSON body parser, in front of the MCP handler, on
 * Express, Koa or Hono.
 *
 * A session id in a response becomes its owner's. A request with the session id of another owner is denied
 * (`session_not_yours`, 403), one with an unknown session id gets 404, and so do requests that name tasks. A
 * session ends with the DELETE that the app accepts. If the store fails, the request is denied with 503.
 * Throws a PolicyError for a wrong option.
 */
export function bindSessions(options: BindSessionsOptions = {}): AnyMiddleware {
  const store = readStore(options)
  return createDecidedMiddleware('bindSessions', async (decided) => {
    const { exchange, outcome } = decided
    // Without a grant there is no owner yet: the client begins a session anew once the policy is enforced.
    if (outcome.outcome === 'observe') return exchange.proceed(undefined)
    const request = toSessionRequest(decided, store)
    const problem = await findProblem(request)
    if (problem === undefined) return exchange.proceed(toFilter(request))
    const answer = request.refuse(problem)
    // Only observed.
    return answer === undefined ? exchange.proceed(undefined) : exchange.answer(answer)
  })
}

/** A request with its session, if it names one. */
interface SessionRequest {
  readonly exchange: Exchange
  readonly body: unknown
  readonly ownership: Ownership
  readonly sessionIds: readonly string[]
  /** Reports a refusal. Undefined if the policy or the route has `mode: 'observe'`. */
  refuse(problem: Problem): Answer | undefined
}

type Problem = Refusal | MalformedMessage | Answer

function toSessionRequest(
  { exchange, body, authorized, engine, method, outcome }: DecidedExchange,
  store: SessionStore,
): SessionRequest {
  const { kind, mode: accessMode } = authorized?.access ?? {}
  const routeMode = typeof kind === 'object' ? kind.mode : accessMode
  const mode = routeMode ?? engine.compiled.mode
  return {
    exchange,
    body,
    ownership: createOwnership(store, authorized === undefined ? NOBODY : sessionOwner(authorized.grant)),
    sessionIds: exchange.fieldValues(FIELD),
    refuse(problem) {
      if (problem instanceof MalformedMessage) {
        warnAboutParser()
        const refusal = new Refusal('message_malformed', { reason: problem.reason, unverified: true })
        const denial = engine.overrule(outcome, 'request', refusal, method, mode)
        return denial.outcome === 'deny' ? toMalformedAnswer(denial, problem) : undefined
      }
      if (!isRefusal(problem)) return mode === 'observe' ? undefined : problem
      const denial = engine.overrule(outcome, 'rule', problem, method, mode)
      return denial.outcome === 'deny' ? toHttpAnswer(denial) : undefined
    },
  }
}

/** Why a request may not have the session and the tasks that it names. */
async function findProblem(request: SessionRequest): Promise<Problem | undefined> {
  const { exchange, body, ownership, sessionIds } = request
  const [sessionId] = sessionIds
  if (sessionIds.length > 1 || (sessionId !== undefined && !ID.test(sessionId))) return malformedRequest
  if (!isParsed(body) && !methodsWithoutBody.has(exchange.method)) return notParsed
  const named = requestedTasks(body).map((id) => ({
    key: typeof id === 'string' ? taskKey(id) : undefined,
    unknown: unknownTask(body),
  }))
  if (sessionId !== undefined) named.unshift({ key: sessionId, unknown: unknownSession })
  for (const { key, unknown } of named) {
    const found = key === undefined ? 'unknown' : await ownership.check(key)
    if (found !== 'mine') return isRefusal(found) ? found : unknown
  }
  return undefined
}

/** A body that no parser has read may name a task. */
const notParsed = new MalformedMessage('no JSON body was parsed', jsonRpc.parseError)

function isParsed(body: unknown): boolean {
  return typeof body === 'object' && body !== null && !(body instanceof Uint8Array)
}

const malformedRequest = errorAnswer(400, {
  code: -32600,
  message: 'Bad Request: Mcp-Session-Id must be one field of visible ASCII characters',
})

/** The client begins a new session ("Session Management" of the transport). */
const unknownSession = errorAnswer(404, { code: -32001, message: 'Session not found' })

function unknownTask(body: unknown): Answer {
  return errorAnswer(404, { code: -32602, message: 'Task not found' }, requestIdOf(body))
}

/** Binds what the app makes to the owner before the client learns of it. */
function toFilter(request: SessionRequest): ResponseFilter {
  const { exchange, ownership, sessionIds } = request
  const [sessionId] = sessionIds
  return {
    async head(head) {
      const made = head.field(FIELD)
      if (made !== undefined && made !== sessionId) {
        const refusal = ID.test(made) ? await ownership.bind(made) : malformedId
        const answer = refusal && request.refuse(refusal)
        if (answer !== undefined) return answer
      }
      if (exchange.method === 'DELETE' && sessionId !== undefined && isSuccess(head))
        await ownership.forget(sessionId)
      return isSuccess(head) ? toBodyFilter(request, head) : undefined
    },
  }
}

const malformedId = new Refusal('internal_error', {
  reason: 'the app has sent an Mcp-Session-Id that is longer than 1024 characters or not of visible ASCII',
})

/** It may list the tasks of other owners. */
const unreadableTasks = new Refusal('internal_error', {
  reason: 'a response about tasks has a Content-Encoding: mount the compression in front of bindSessions',
})

function refuseEncoded(request: SessionRequest, { field }: ResponseHead): Answer | undefined {
  const coding = field('content-encoding') ?? 'identity'
  if (coding.trim().toLowerCase() === 'identity' || !readsTasks(request.body)) return undefined
  return request.refuse(unreadableTasks)
}

function isSuccess({ status }: ResponseHead): boolean {
  return status >= 200 && status < 300
}

function toBodyFilter(request: SessionRequest, head: ResponseHead): BodyFilter | Answer | undefined {
  const answer = refuseEncoded(request, head)
  if (answer !== undefined) return answer
  if (isEventStream(head)) {
    const reader = createEventReader()
    return {
      kind: 'parts',
      check(part) {
        const texts = aboutTasks(reader.read(part))
        return texts.length === 0 || refusalOf(request, texts).then((answer) => answer === undefined)
      },
    }
  }
  if (mediaTypeOf(head) !== 'application/json') return undefined
  return {
    kind: 'whole',
    check(body) {
      const texts = aboutTasks([new TextDecoder().decode(body)])
      return texts.length === 0 ? undefined : refusalOf(request, texts)
    },
  }
}

/** Only a few messages are about tasks, and parsing a long one takes time. */
function aboutTasks(texts: readonly string[]): readonly string[] {
  return texts.filter((text) => text.includes('"taskId"'))
}

/** Binds the tasks in messages of the app. The answer of the first refusal. */
async function refusalOf(request: SessionRequest, texts: readonly string[]): Promise<Answer | undefined> {
  for (const text of texts) {
    const refusal = await findRefusal(request, parse(text))
    const answer = refusal && request.refuse(refusal)
    if (answer !== undefined) return answer
  }
  return undefined
}

async function findRefusal(
  { body, ownership }: SessionRequest,
  message: unknown,
): Promise<Refusal | undefined> {
  const { made, listed } = resultTasks(message)
  for (const id of made) {
    // A request for a task makes none: its result cannot bind one.
    const refusal = readsTasks(body) ? await refuseOthers(ownership, id) : await ownership.bind(taskKey(id))
    if (refusal !== undefined) return refusal
  }
  for (const id of listed) {
    const refusal = await refuseOthers(ownership, id)
    if (refusal !== undefined) return refusal
  }
  return undefined
}

async function refuseOthers(ownership: Ownership, id: string): Promise<Refusal | undefined> {
  const found = await ownership.check(taskKey(id))
  if (found === 'unknown') return new Refusal('session_not_yours')
  return isRefusal(found) ? found : undefined
}

/** Undefined for a text that is not JSON, which no client can read a task from either. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function readStore({ store, ...others }: BindSessionsOptions): SessionStore {
  const issues = Object.keys(others).map((name) => ({ path: `options.${name}`, message: 'is not known' }))
  const methods = ['get', 'set', 'delete'] as const
  if (store !== undefined && !methods.every((name) => typeof Object(store)[name] === 'function'))
    issues.push({ path: 'options.store', message: 'must have the methods get, set and delete' })
  if (issues.length > 0) throw new PolicyError(issues)
  return store ?? memorySessionStore()
}
