import { parseRule } from '#policy-parser'
import { countRequestInTick } from '#runtime'
import { parseHandlerRule } from '../src/compile/handler-rule.js'
import { type CachedDecision, internalError, latestDecisions } from '../src/connection/latest-decision.js'
import type { Answer, Decision, Denial, Grant } from '../src/decision.js'
import type { AuthorizedRequest } from '../src/grant.js'
import { sharedInProcess } from '../src/lib/copies.js'
import { createWarning, type WarnOnce } from '../src/lib/process-warning.js'
import type { VerifierOptions } from '../src/options.js'
import { PolicyError } from '../src/policy/error.js'
import type { HandlerRule, Policy } from '../src/policy/policy.js'
import type { RuleData } from '../src/policy/schema.js'
import { describe, Refusal } from '../src/refusal.js'
import type { RequestContent } from '../src/request/content.js'
import type { HeaderSource, Routing, VerifyRequest } from '../src/request/request.js'
import { stringMembers } from '../src/request/string-members.js'
import { AjwtDenial } from '../src/response/ajwt-denial.js'
import { rateLimitFields } from '../src/response/rate-limit.js'
import { metadataResponse } from '../src/response/resource-metadata.js'
import { requestCheckOf } from '../src/rules/request-conditions.js'
import { findCharges, undoCharges } from '../src/stores/limits.js'
import { consumedBy } from '../src/stores/memory/shared-replay.js'
import { warnAboutObservedRule } from '../src/telemetry/observe-warning.js'
import { createVerifier, engineOf, isVerifier, type Verifier } from '../src/verifier.js'

export type { Answer } from '../src/decision.js'
export { fieldsOf } from '../src/request/request.js'

/** A signal that is aborted when the connection ends before the response is sent. */
export function signalOf(response: {
  readonly writableFinished: boolean
  once(event: 'close', listener: () => void): unknown
}): AbortSignal {
  const controller = new AbortController()
  response.once('close', () => {
    if (!response.writableFinished) controller.abort()
  })
  return controller.signal
}

type OnResponse = (status: number) => void

/** An adapter sends the answer, or continues with the grant, if there is one. */
export type MiddlewareResult =
  | { readonly kind: 'answer'; readonly answer: Answer; readonly denial: Denial | undefined }
  | {
      readonly kind: 'continue'
      readonly grant: Grant | undefined
      readonly headers: Readonly<Record<string, string>>
      /**
       * `headers` once the handler has answered: its own rules may have counted more limits. Does what
       * `onResponse` does.
       */
      fieldsAtEnd(status: number): Readonly<Record<string, string>>
      /** For the status of the handler's response, once it is sent. Undefined if nothing depends on it. */
      readonly onResponse: OnResponse | undefined
    }

/** Shared by all adapters. The framework's request object identifies a request. */
export interface MiddlewareCore {
  readonly verifier: Verifier
  pass(source: object, request: VerifyRequest): Promise<MiddlewareResult>
}

/**
 * A request that makes its signal when it is read. V8 has the getters of object literals in its old
 * generation: they would keep each request until a full garbage collection.
 */
export class AdapterRequest implements VerifyRequest {
  readonly method: string
  readonly url: string
  readonly headers: HeaderSource
  readonly routing: Routing
  readonly #makeSignal: () => AbortSignal

  constructor(
    { method, url, headers, routing }: Required<Omit<VerifyRequest, 'signal'>>,
    makeSignal: () => AbortSignal,
  ) {
    this.method = method
    this.url = url
    this.headers = headers
    this.routing = routing
    this.#makeSignal = makeSignal
  }

  get signal(): AbortSignal {
    return this.#makeSignal()
  }
}

/** Decisions by verifier and request: a verifier that is mounted twice decides once. */
const decisionsByVerifier = sharedInProcess(
  'decisions',
  () => new WeakMap<Verifier, WeakMap<object, CachedDecision>>(),
)

export const passThrough: Extract<MiddlewareResult, { kind: 'continue' }> = Object.freeze({
  kind: 'continue',
  grant: undefined,
  headers: Object.freeze({}),
  fieldsAtEnd: () => passThrough.headers,
  onResponse: undefined,
})

/** Makes the core of a middleware from a policy or an existing verifier. */
export function createMiddlewareCore(
  policyOrVerifier: Policy | Verifier,
  options?: VerifierOptions,
): MiddlewareCore {
  const verifier = toVerifier(policyOrVerifier, options)
  const decisions = decisionsOf(verifier)

  function decideOnce(
    source: object,
    request: VerifyRequest,
    target: Pick<CachedDecision, 'method' | 'path' | 'route'>,
  ): CachedDecision {
    // Looked up for each request: `update` replaces it.
    const engine = engineOf(verifier)
    const decision = engine.decideRequest(request, consumedBy(source), (authorized) => {
      cached.authorized = authorized
    })
    const cached: CachedDecision = { engine, ...target, decision, authorized: undefined }
    return cached
  }

  /** The request was rewritten after the first decision: the applied rule is not that of its handler. */
  async function refuseRewritten(
    earlier: CachedDecision,
    method: string,
    path: string,
  ): Promise<MiddlewareResult> {
    const refusal = new Refusal('route_not_declared', {
      reason: 'path or method was rewritten after the first ajwt middleware had decided',
      expected: describe(`${earlier.method} ${earlier.path}`),
      found: describe(`${method} ${path}`),
      unverified: true,
    })
    const { engine } = earlier
    const mode = engine.compiled.areAllRoutesObserved ? undefined : 'enforce'
    return toResult(engine.overrule(await earlier.decision, 'rule', refusal, method, mode))
  }

  return {
    verifier,
    async pass(source, request) {
      const { routing } = request
      const path =
        (routing !== undefined && 'path' in routing ? routing.path : undefined) ?? pathOf(request.url)
      const method = request.routing?.method ?? request.method
      const metadata = metadataResponse(engineOf(verifier).compiled, request.method, path)
      if (metadata !== undefined) return { kind: 'answer', answer: metadata, denial: undefined }
      const earlier = decisions.get(source)
      const route = matchedRoute(routing)
      const isSame = earlier?.method === method && earlier.path === path && earlier.route === route
      if (earlier !== undefined && !isSame) return refuseRewritten(earlier, method, path)
      // A second verifier does not make it a second request.
      if (!latestDecisions.has(source)) countRequestInTick()
      const cached = earlier ?? decideOnce(source, request, { method, path, route })
      decisions.set(source, cached)
      latestDecisions.set(source, cached)
      return toResult(await cached.decision, cached.authorized)
    },
  }
}

/** Applies one more rule to requests that `ajwt` has allowed. Throws a PolicyError if the rule is invalid. */
export function createRuleMiddleware(
  rule: HandlerRule,
): (
  source: object,
  params: unknown,
  request?: unknown,
  content?: RequestContent,
) => Promise<MiddlewareResult> {
  if (isRequest(rule)) refuseUncalled('rule', 'requireIntent', 'requireIntent(rule)')
  const data = parseRule(rule)
  warnAboutObservedRule(data)
  const warnOnce = createWarning()
  return (source, params, request = source, content) =>
    applyRule({ source, params, request, content }, data, true, warnOnce)
}

/** Applies a rule once, for `checkIntent`. Rejects with a PolicyError if the rule is invalid. */
export async function checkRequest(
  source: object,
  rule: HandlerRule,
  params: unknown,
  request: unknown = source,
  content?: RequestContent,
): Promise<AjwtDenial | undefined> {
  const handled = { source, params, request, content }
  const result = await applyRule(handled, parseHandlerRule(rule), false, warnOfCheck)
  return result.kind === 'answer' && result.denial !== undefined ? new AjwtDenial(result.denial) : undefined
}

/** A request at a handler. */
interface HandledRequest {
  /** The object that tells requests apart. */
  readonly source: object
  readonly params: unknown
  /** The object that the framework passes to handlers, for functions of the app. */
  readonly request: unknown
  readonly content: RequestContent | undefined
}

async function applyRule(
  { source, params, request, content }: HandledRequest,
  data: RuleData,
  isPermanent: boolean,
  warnOnce: WarnOnce,
): Promise<MiddlewareResult> {
  const cached = latestDecisions.get(source)
  if (cached === undefined) {
    warnOnce(
      'a requireIntent or checkIntent was reached by a request that no ajwt middleware has seen: mount ajwt(policy) in ' +
        'front of it, on the same app; until then it answers 503',
      'AJWT_NOT_MOUNTED',
    )
    return data.mode === 'observe' ? passThrough : toResult(internalError)
  }
  const decision = await cached.decision
  const { authorized, method, engine } = cached
  const result = await engine.applyRule(decision, authorized, {
    data,
    params: stringMembers(params),
    method,
    isPermanent,
    isOncePerRequest: isPermanent,
    request,
    checkRequest: content && requestCheckOf(data, content),
  })
  return result === undefined ? passThrough : toResult(result, authorized)
}

/** The response of an adapter that runs in a framework whose routing it does not know. */
export function createHostRefusal(entry: string, framework: string): () => Answer {
  const warnOnce = createWarning()
  return () => {
    warnOnce(
      `${entry} was mounted in a host that is not ${framework}, such as Connect, Fastify with @fastify/middie, or ` +
        'NestJS on Fastify: every request is answered with 503. Use the adapter of that framework, or createVerifier ' +
        'from ajwt',
      'AJWT_WRONG_HOST',
    )
    return toAnswer(internalError)
  }
}

/** The original URL does not identify the handler: an app may dispatch one request to two routes. */
function matchedRoute(routing: VerifyRequest['routing']): string | undefined {
  if (routing === undefined || !('route' in routing)) return undefined
  return JSON.stringify([routing.route, stringMembers(routing.params)])
}

function pathOf(url: string): string {
  const query = url.indexOf('?')
  return query < 0 ? url : url.slice(0, query)
}

/** Whether a response field is one of CORS. */
export function isCorsField(name: string): boolean {
  return name.startsWith('access-control-')
}

const warnOfCheck = createWarning()

function toVerifier(policyOrVerifier: Policy | Verifier, options: VerifierOptions | undefined): Verifier {
  if (isRequest(policyOrVerifier)) refuseUncalled('', 'ajwt', 'app.use(ajwt(policy))')
  if (!isVerifier(policyOrVerifier)) return createVerifier(policyOrVerifier, options)
  if (options !== undefined && Object.keys(options).length > 0) {
    throw new PolicyError([
      { path: 'options', message: 'belong to createVerifier where a verifier is given' },
    ])
  }
  return policyOrVerifier
}

function decisionsOf(verifier: Verifier): WeakMap<object, CachedDecision> {
  const decisions = decisionsByVerifier.get(verifier) ?? new WeakMap<object, CachedDecision>()
  decisionsByVerifier.set(verifier, decisions)
  return decisions
}

export function toResult(decision: Decision, authorized?: AuthorizedRequest): MiddlewareResult {
  if (decision.outcome === 'allow') {
    const { grant, headers } = decision
    return {
      kind: 'continue',
      grant,
      headers,
      fieldsAtEnd(status) {
        const fields = { ...headers, ...limitFieldsOf(authorized) }
        if (authorized !== undefined) giveBackOnServerError(authorized)?.(status)
        return fields
      },
      onResponse: authorized && giveBackOnServerError(authorized),
    }
  }
  if (decision.outcome === 'observe') return { ...passThrough, ...withNonce(decision.headers) }
  if (decision.outcome !== 'deny') return passThrough
  return { kind: 'answer', answer: toAnswer(decision), denial: decision }
}

function limitFieldsOf(authorized: AuthorizedRequest | undefined): Readonly<Record<string, string>> {
  const charges = authorized && findCharges(authorized.consumed)
  return charges === undefined || charges.length === 0 ? {} : rateLimitFields(charges)
}

/** For limits with `skipServerErrors`. */
function giveBackOnServerError({ consumed }: AuthorizedRequest): OnResponse | undefined {
  const charges = findCharges(consumed)?.filter(({ skipServerErrors }) => skipServerErrors)
  if (charges === undefined || charges.length === 0) return undefined
  return (status) => {
    if (status >= 500) undoCharges(consumed, charges)
  }
}

function toAnswer({ status, headers, body }: Denial): Answer {
  return { status, headers, body: JSON.stringify(body) }
}

/** Whether the value is a Node.js request, or a context of Koa or Hono, which middleware is called with. */
export function isRequest(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  return 'req' in value || ('method' in value && 'url' in value && 'headers' in value)
}

export function refuseUncalled(path: string, name: string, usage: string): never {
  const message = `is a request: ${name} was handed to the framework without being called. Write ${usage}`
  throw new PolicyError([{ path, message }])
}

/** Observed requests get a nonce too, so that clients have one when the policy is enforced. */
function withNonce(
  headers: Readonly<Record<string, string>>,
): Partial<Pick<typeof passThrough, 'headers' | 'fieldsAtEnd'>> {
  const nonce = headers['dpop-nonce']
  if (nonce === undefined) return {}
  const fields = { 'dpop-nonce': nonce, 'cache-control': 'no-store' }
  return { headers: fields, fieldsAtEnd: () => fields }
}
