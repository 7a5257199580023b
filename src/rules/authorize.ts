import type { Grant } from '../decision.js'
import { isPromiseLike, withDeadline } from '../lib/promise.js'
import { describe, describeError, Refusal } from '../refusal.js'
import type { RuleInput } from './rule-input.js'

/** The argument of the hook `authorize`: a request that meets every condition of its rule. */
export interface AuthorizeContext {
  readonly grant: Grant
  /** The path pattern of the policy. Undefined if no route matched. */
  readonly route: string | undefined
  readonly params: { readonly [name: string]: string }
  /** As on the wire. */
  readonly method: string
  /** All claims of the token. */
  readonly claims: Grant['claims']
  /** Aborted when the time is over, and when the client has gone, where the adapter knows. */
  readonly signal: AbortSignal
}

/** `reason` is for the operator and is never sent. */
export type AuthorizeAnswer = boolean | { readonly allow: boolean; readonly reason?: string }

/** Allows or denies a request that the policy allows. */
export type Authorize = (context: AuthorizeContext) => AuthorizeAnswer | Promise<AuthorizeAnswer>

/** Seconds. */
export const DEFAULT_AUTHORIZE_TIMEOUT = 1

/** Asks the hook. It can only deny: a throw, a late or an unknown answer denies as well. */
export type Authorizer = (input: RuleInput) => Promise<Refusal | undefined>

export function createAuthorizer(authorize: Authorize, timeout = DEFAULT_AUTHORIZE_TIMEOUT): Authorizer {
  return async (input) => {
    const controller = new AbortController()
    const start = performance.now()
    const { signal: ofRequest } = input.source
    const cancel = () => controller.abort(ofRequest?.reason)
    let refusal: Refusal | undefined
    try {
      if (ofRequest?.aborted === true) throw new Error('the client has gone')
      ofRequest?.addEventListener('abort', cancel, { once: true })
      const answer = authorize(contextOf(input, controller.signal))
      const waiting = isPromiseLike(answer) ? untilAborted(answer, controller.signal) : answer
      refusal = toRefusal(isPromiseLike(waiting) ? await withDeadline(waiting, timeout) : waiting)
    } catch (error) {
      controller.abort()
      refusal = unavailable(`the hook authorize failed: ${describeError(error)}`)
    } finally {
      ofRequest?.removeEventListener('abort', cancel)
    }
    input.trace.authorization = { start, end: performance.now(), code: refusal?.code }
    return refusal
  }
}

function contextOf(
  { toGrant, route, params, method, token }: RuleInput,
  signal: AbortSignal,
): AuthorizeContext {
  return Object.freeze({ grant: toGrant(), route, params, method, claims: token.claims, signal })
}

function untilAborted<T>(answer: PromiseLike<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(new Error('the client has gone')), { once: true })
    answer.then(resolve, reject)
  })
}

/** Only `true` allows: a truthy object of a decision point may well be a denial. */
function toRefusal(answer: unknown): Refusal | undefined {
  const { allow, reason } =
    typeof answer === 'object' && answer !== null
      ? (answer as { allow?: unknown; reason?: unknown })
      : { allow: answer, reason: undefined }
  if (allow === true) return undefined
  if (allow === false) {
    const text =
      typeof reason === 'string' && reason !== '' ? describe(reason) : 'the hook authorize has denied it'
    return new Refusal('not_authorized', { reason: text })
  }
  return unavailable('the hook authorize must return true, false or { allow: boolean }')
}

function unavailable(reason: string): Refusal {
  return new Refusal('authorizer_unavailable', { reason })
}
