import type {
  FastifyInstance,
  FastifyPluginCallback,
  FastifyReply,
  FastifyRequest,
  onRequestHookHandler,
} from 'fastify'
import {
  AjwtDenial,
  type Grant,
  type HandlerRule,
  type Policy,
  PolicyError,
  type Routing,
  type Verifier,
  type VerifierOptions,
} from '../src/index.js'
import { contentOfParsed, type RequestContent } from './content.js'
import {
  AdapterRequest,
  checkRequest,
  createMiddlewareCore,
  createRuleMiddleware,
  fieldsOf,
  isCorsField,
  type MiddlewareResult,
  signalOf,
} from './core.js'
import { compareRoutes, markAsAjwt, type RouteReport } from './coverage.js'
import { handlersOf, type RouteLister } from './fastify-handlers.js'
import { createToolMiddleware, type DecideMessageOptions, type McpRules } from './mcp.js'

export { AjwtDenial, type McpRules, type RouteReport }

declare module 'fastify' {
  interface FastifyRequest {
    /** The verified grant. Undefined where `ajwt` let the request in without credentials. */
    ajwt: Grant | undefined
  }
}

export interface DenialOptions {
  /**
   * Sends the app's own response to a denial: through `reply`, by a returned payload, or by a thrown error,
   * such as the denial, for `setErrorHandler`. Status and header fields are already set. If it sends nothing,
   * the default response is sent. It can never allow the request.
   */
  onDenied?: (denial: AjwtDenial, request: FastifyRequest, reply: FastifyReply) => unknown
}

export type ToolOptions = DenialOptions & DecideMessageOptions

/** A policy with the options of its verifier, or an existing verifier. */
export type AjwtOptions = DenialOptions &
  (({ policy: Policy; verifier?: never } & VerifierOptions) | { verifier: Verifier; policy?: never })

/** A route-level hook: `{ preHandler: requireIntent(rule) }`. */
export type RuleHook = (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void) => void

/**
 * A plugin: `app.register(ajwt, { policy })`. It allows the requests that the policy allows, denies all
 * others, and sets `request.ajwt` to the verified grant. It is not encapsulated: it protects every route of
 * the instance that registers it, and of later plugins of that instance. `ready()` and `listen()` reject with
 * a PolicyError if the policy is invalid.
 */
export const ajwt: FastifyPluginCallback<AjwtOptions> = Object.assign(register, {
  [Symbol.for('skip-override')]: true,
  [Symbol.for('fastify.display-name')]: 'ajwt',
  // Older versions lack `request.originalUrl`, with which the URL of a proof is compared.
  [Symbol.for('plugin-meta')]: { name: 'ajwt', fastify: '>=4.19.0 <6' },
})

function register(app: FastifyInstance, options: AjwtOptions, done: (error?: Error) => void): void {
  if (typeof app?.addHook !== 'function') {
    throw new PolicyError([
      { path: '', message: 'ajwt was called as a function: write app.register(ajwt, { policy })' },
    ])
  }
  const { onDenied } = options
  let core: ReturnType<typeof coreOf>
  try {
    core = coreOf(options)
  } catch (error) {
    // A thrown error would end the process.
    done(error instanceof Error ? error : new Error('ajwt: no error was thrown', { cause: error }))
    return
  }
  // The plugin may be registered twice, with two verifiers.
  if (!app.hasRequestDecorator('ajwt')) app.decorateRequest('ajwt', undefined)
  // A callback, because Fastify continues when a hook's promise is fulfilled, even while a response is being
  // sent.
  const hook: onRequestHookHandler = (request, reply, next) => {
    const hadBegun = hasBegun(reply)
    // An earlier value was not set by this plugin.
    request.ajwt = undefined
    const pass = core.pass(request.raw, requestOf(request, reply))
    settle(pass, request, reply, next, onDenied, hadBegun)
  }
  app.addHook('onRequest', markAsAjwt(hook))
  done()
}

/**
 * Applies one more rule, for one handler, to a request that `ajwt` has allowed. `param` in the rule refers to
 * the parameters of that handler. Throws a PolicyError if the rule is invalid.
 */
export function requireIntent(rule: HandlerRule<FastifyRequest>, { onDenied }: DenialOptions = {}): RuleHook {
  const pass = createRuleMiddleware(rule)
  return function requireIntent(request, reply, done) {
    const result = pass(request.raw, request.params, request, contentOf(request))
    settle(result, request, reply, done, onDenied, hasBegun(reply))
  }
}

/**
 * A `preHandler` that checks the JSON-RPC message of a request to an MCP server by the rules of its tool,
 * prompt, resource or method. Throws a PolicyError if the rules are invalid.
 */
export function requireToolIntent(rules: McpRules, { onDenied, ...options }: ToolOptions = {}): RuleHook {
  const check = createToolMiddleware(rules, options)
  return function requireToolIntent(request, reply, done) {
    const { raw: source, headers, body } = request
    settle(check({ source, headers, body }), request, reply, done, onDenied, hasBegun(reply))
  }
}

/**
 * Checks a rule as `requireIntent` does, without a response, for GraphQL resolvers, procedures and sockets.
 * Resolves to the denial, or to undefined if the rule is met or only observed. Default of `params`: those of
 * the handler. Rejects with a PolicyError if the rule is invalid.
 */
export async function checkIntent(
  request: FastifyRequest,
  rule: HandlerRule<FastifyRequest>,
  params: unknown = request.params,
): Promise<AjwtDenial | undefined> {
  return checkRequest(request.raw, rule, params, request, contentOf(request))
}

/**
 * Compares the handlers of an app with the keys of a policy: `uncovered` handlers have no key, `unanswered`
 * keys have no handler, and handlers in `beforeMiddleware` are reached without passing `ajwt`. Call it in a
 * test, or at start after every route is registered. Loads the plugins first, as `ready()` does. Rejects with
 * a PolicyError if the policy is invalid.
 */
export async function verifyRoutes(app: RouteLister, policy: Policy | Verifier): Promise<RouteReport> {
  return compareRoutes(policy, await handlersOf(app), { byPattern: true, caseSensitive: true })
}

/** Parsed before `preHandler`: in earlier hooks there is no body. */
function contentOf(request: FastifyRequest): RequestContent {
  const { url, headers, body, raw } = request
  const keptIn = 'request.rawBody, which fastify-raw-body sets'
  return contentOfParsed({ url, headers, body, keepers: [request, raw], keptIn })
}

function coreOf(options: AjwtOptions): ReturnType<typeof createMiddlewareCore> {
  // `register` adds options of Fastify, which are not options of a verifier.
  const { policy, verifier, onDenied, prefix, logLevel, logSerializers, ...rest } = options as AjwtOptions &
    Record<'prefix' | 'logLevel' | 'logSerializers', unknown>
  const source = policy ?? verifier
  if (source === undefined || (policy !== undefined && verifier !== undefined)) {
    throw new PolicyError([
      { path: 'options', message: 'must have either `policy` or `verifier`: app.register(ajwt, { policy })' },
    ])
  }
  return createMiddlewareCore(source, rest)
}

function requestOf(request: FastifyRequest, reply: FastifyReply): AdapterRequest {
  return new AdapterRequest(
    {
      method: request.method,
      url: request.originalUrl,
      headers: fieldsOf({ rawHeaders: request.raw.rawHeaders, headers: request.headers }),
      routing: routingOf(request),
    },
    () => signalOf(reply.raw),
  )
}

/**
 * The route that Fastify has matched, so that no router option can lead to a rule of another route. For an
 * unmatched request, the handler of `setNotFoundHandler` runs, and only its path can select a key.
 */
function routingOf(request: FastifyRequest): Routing {
  const { method, params, url } = request
  if (request.is404) {
    return {
      path: url.replace(/\?.*$/s, ''),
      method,
      caseSensitive: true,
      strict: true,
      wildcardMatchesEmpty: false,
    }
  }
  return {
    route: request.routeOptions.url,
    params: typeof params === 'object' && params !== null ? params : undefined,
    method,
  }
}

/** Continues only if the request is allowed. Passes every error to Fastify. */
function settle(
  pass: Promise<MiddlewareResult>,
  request: FastifyRequest,
  reply: FastifyReply,
  next: (error?: Error) => void,
  onDenied: DenialOptions['onDenied'],
  hadBegun: boolean,
): void {
  const run = async (): Promise<boolean> => {
    const result = await pass
    // A timeout may have responded while the verifier waited.
    if (hasBegun(reply) && !hadBegun) return false
    if (result.kind === 'answer') {
      await answer(result, request, reply, onDenied)
      return false
    }
    // There is no grant if an observed rule was not met.
    request.ajwt = result.grant
    // On Node's response, so that `reply.raw` and `hijack` have them too.
    if (!hadBegun) {
      for (const [name, value] of Object.entries(result.headers)) reply.raw.setHeader(name, value)
    }
    const { onResponse } = result
    if (onResponse !== undefined) reply.raw.once('finish', () => onResponse(reply.raw.statusCode))
    return true
  }
  run().then(
    (isAllowed) => {
      if (isAllowed) next()
    },
    (error) =>
      next(error instanceof Error ? error : new Error('ajwt: no error was thrown', { cause: error })),
  )
}

function hasBegun(reply: FastifyReply): boolean {
  return reply.sent || reply.raw.headersSent
}

async function answer(
  { answer: { status, headers, body }, denial }: Extract<MiddlewareResult, { kind: 'answer' }>,
  request: FastifyRequest,
  reply: FastifyReply,
  onDenied: DenialOptions['onDenied'],
): Promise<void> {
  // The response was begun before this plugin ran. It can only be ended.
  if (hasBegun(reply)) return void reply.hijack().raw.end()
  const { 'content-type': type, ...fields } = headers
  reply.code(status)
  for (const [name, value] of Object.entries(fields)) {
    // A CORS field that the app has set is the app's decision on who may read.
    if (!(isCorsField(name) && reply.getHeader(name) !== undefined)) reply.header(name, value)
  }
  if (denial !== undefined && onDenied !== undefined) {
    if (await isAnsweredBy(onDenied, new AjwtDenial(denial), request, reply)) return
  }
  if (type !== undefined && reply.getHeader('content-type') === undefined) reply.header('content-type', type)
  // As bytes, because Fastify would add a charset for a string, and JSON has none (RFC 8259 section 11).
  reply.send(body === '' ? body : Buffer.from(body))
}

/** Records calls of `send`, because `reply.sent` is false until the `onSend` hooks have run. */
async function isAnsweredBy(
  onDenied: NonNullable<DenialOptions['onDenied']>,
  denial: AjwtDenial,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<boolean> {
  const { send } = reply
  let isSent = false
  reply.send = (payload) => {
    isSent = true
    return send.call(reply, payload)
  }
  const returned = onDenied(denial, request, reply)
  // A reply is thenable and settles when it is sent. Awaiting one that is never sent would never end.
  const payload = returned === reply ? undefined : await returned
  if (isSent || hasBegun(reply)) return true
  if (payload === undefined) return false
  reply.send(payload)
  return true
}
