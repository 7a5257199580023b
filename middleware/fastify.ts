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
  type Policy,
  PolicyError,
  type RouteRule,
  type Routing,
  type Verifier,
  type VerifierOptions,
} from '../src/index.js'
import {
  checkRequest,
  createMiddlewareCore,
  createRuleMiddleware,
  fieldsOf,
  isCorsField,
  type MiddlewareResult,
} from './core.js'
import { compareRoutes, markAsAjwt, type RouteReport } from './coverage.js'
import { handlersOf, type RouteLister } from './fastify-handlers.js'

export { AjwtDenial, type RouteReport }

declare module 'fastify' {
  interface FastifyRequest {
    /** The verified grant. Undefined where `ajwt` let the request in without credentials. */
    ajwt: Grant | undefined
  }
}

export interface DenialOptions {
  /**
   * Answers a denial in the app's own way: through `reply`, by the payload that it returns, or by an error that it
   * throws, such as the denial itself, for `setErrorHandler`. Status and header fields are set already. What it does
   * not answer is answered as usual. Nothing it does lets the request in.
   */
  onDenied?: (denial: AjwtDenial, request: FastifyRequest, reply: FastifyReply) => unknown
}

/** A policy with the options of its verifier, or a verifier that was made before. */
export type AjwtOptions = DenialOptions &
  (({ policy: Policy; verifier?: never } & VerifierOptions) | { verifier: Verifier; policy?: never })

/** A hook of Fastify, at route level: `{ preHandler: requireIntent(rule) }`. */
export type RuleHook = (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void) => void

/**
 * A plugin: `app.register(ajwt, { policy })`. It lets in what the policy allows, denies the rest, and puts the verified
 * grant on `request.ajwt`. It is not encapsulated: it protects every route of the instance that registers it, and of the
 * plugins of that instance. `ready()` and `listen()` reject with a PolicyError where the policy is wrong.
 */
export const ajwt: FastifyPluginCallback<AjwtOptions> = Object.assign(register, {
  [Symbol.for('skip-override')]: true,
  [Symbol.for('fastify.display-name')]: 'ajwt',
  // Older versions have no `request.originalUrl`, which proofs are compared with.
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
    // Thrown here, it would end the process.
    done(error instanceof Error ? error : new Error('ajwt: no error was thrown', { cause: error }))
    return
  }
  // The plugin may be registered twice, with two verifiers.
  if (!app.hasRequestDecorator('ajwt')) app.decorateRequest('ajwt', undefined)
  // With callbacks: Fastify goes on when the promise of a hook is fulfilled, even while an answer is being sent.
  const hook: onRequestHookHandler = (request, reply, next) => {
    const hadBegun = hasBegun(reply)
    // Nothing that was here before came from this plugin.
    request.ajwt = undefined
    const pass = core.pass(request.raw, {
      method: request.method,
      url: request.originalUrl,
      headers: fieldsOf({ rawHeaders: request.raw.rawHeaders, headers: request.headers }),
      routing: routingOf(request),
    })
    settle(pass, request, reply, next, onDenied, hadBegun)
  }
  app.addHook('onRequest', markAsAjwt(hook))
  done()
}

/**
 * One more rule, for one handler: applied to a request that `ajwt` has let in, with the parameters of that
 * handler. Throws a PolicyError where the rule is wrong.
 */
export function requireIntent(rule: RouteRule, { onDenied }: DenialOptions = {}): RuleHook {
  const pass = createRuleMiddleware(rule)
  return function requireIntent(request, reply, done) {
    settle(pass(request.raw, request.params), request, reply, done, onDenied, hasBegun(reply))
  }
}

/**
 * What `requireIntent` does, without an answer: the denial, or undefined where the rule holds or is only observed.
 * For GraphQL resolvers, procedures and sockets. Default of `params`: those of the handler. Rejects with a PolicyError
 * where the rule is wrong.
 */
export async function checkIntent(
  request: FastifyRequest,
  rule: RouteRule,
  params: unknown = request.params,
): Promise<AjwtDenial | undefined> {
  return checkRequest(request.raw, rule, params)
}

/**
 * Compares the handlers of an app with the keys of a policy: `uncovered` handlers have no key, `unanswered` keys have no
 * handler, and handlers in `beforeMiddleware` are reached without passing `ajwt`. For a test, or at start, when every route
 * is registered. Loads the plugins first, as `ready()` does. Rejects with a PolicyError if the policy is wrong.
 */
export async function verifyRoutes(app: RouteLister, policy: Policy | Verifier): Promise<RouteReport> {
  return compareRoutes(policy, await handlersOf(app), { byPattern: true, caseSensitive: true })
}

function coreOf(options: AjwtOptions): ReturnType<typeof createMiddlewareCore> {
  // `register` has options of its own, which are no option of a verifier.
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

/**
 * The route that Fastify has matched: none of its router's options can part the rule from the handler. Where it has
 * matched none, the handler of `setNotFoundHandler` runs, and the path alone says which key is meant.
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

/** Goes on only where the request is let in. An error always reaches Fastify as one. */
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
    // A timeout may have answered while the verifier waited.
    if (hasBegun(reply) && !hadBegun) return false
    if (result.kind === 'answer') {
      await answer(result, request, reply, onDenied)
      return false
    }
    // A rule in mode "observe" that does not hold leaves no grant.
    request.ajwt = result.grant
    // On Node's response: Fastify adds them to each reply, and `reply.raw` and `hijack` have them too.
    if (!hadBegun) {
      for (const [name, value] of Object.entries(result.headers)) reply.raw.setHeader(name, value)
    }
    return true
  }
  run().then(
    (isLetIn) => {
      if (isLetIn) next()
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
  // Begun before this plugin ran: it can only be ended.
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
  // As bytes: Fastify would add a charset to the type of a string, and JSON has none.
  reply.send(body === '' ? body : Buffer.from(body))
}

/** Fastify does not tell whether `send` was called until hooks of `onSend` have run. */
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
  // Awaited, a reply waits until it is sent: one that is only prepared would wait for ever.
  const payload = returned === reply ? undefined : await returned
  if (isSent || hasBegun(reply)) return true
  if (payload === undefined) return false
  reply.send(payload)
  return true
}
