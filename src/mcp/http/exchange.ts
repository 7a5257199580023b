import type { Answer } from '../../decision.js'
import { isObject } from '../../lib/objects.js'
import type { MaybePromise } from '../../lib/promise.js'
import { honoMessageOf, type MessageContext } from './hono-message.js'
import { filterNodeResponse, isNodeResponse, type NodeResponse } from './node-response.js'
import type { ResponseFilter } from './response-filter.js'
import { filterWebResponse } from './web-response.js'

/** A request at a middleware, in whichever framework. */
export interface Exchange {
  /** The object by which the adapter of `ajwt` knows the request. */
  readonly source: object
  /** As the framework routes it. */
  readonly method: string
  /** The values of a request field: more than one if it came twice, or is another to the framework. */
  fieldValues(name: string): readonly string[]
  /** The body as a parser has left it. Undefined if there is none. */
  readBody(): MaybePromise<unknown>
  /** Sends an answer. The middleware returns the result to the framework. */
  answer(answer: Answer): unknown
  /** Lets the request continue, with a filter for the response. */
  proceed(filter: ResponseFilter | undefined): unknown
}

/**
 * A middleware for Express, for Koa and for Hono: they call it with `(req, res, next)`, `(ctx, next)` and
 * `(c, next)`.
 */
export interface AnyMiddleware {
  (request: object, response: object, next: (error?: unknown) => void): void
  // biome-ignore lint/suspicious/noExplicitAny: Koa and Hono expect results of other types.
  (context: object, next: () => Promise<any>): Promise<any>
}

/** Makes a middleware for any of the frameworks. */
export function createAnyMiddleware(
  name: string,
  handle: (exchange: Exchange) => Promise<unknown>,
): AnyMiddleware {
  const middleware = async (first: object, second: unknown, third?: unknown): Promise<unknown> => {
    if (!isFunction(third)) return handle(toContextExchange(name, first, second))
    // Express 4 does not catch a rejection, which would end the process.
    try {
      await handle(toExpressExchange(name, first, second, third))
    } catch (error) {
      Reflect.apply(third, undefined, [error])
    }
  }
  Object.defineProperty(middleware, 'name', { value: name })
  return middleware as AnyMiddleware
}

interface NodeRequest {
  readonly method: string
  readonly headers: Readonly<Record<string, unknown>>
  readonly rawHeaders?: readonly string[]
}

function isNodeRequest(value: unknown): value is NodeRequest {
  return isObject(value) && typeof value.method === 'string' && isObject(value.headers)
}

function toExpressExchange(
  name: string,
  req: unknown,
  res: unknown,
  next: (...values: never[]) => unknown,
): Exchange {
  if (!isNodeRequest(req) || !isNodeResponse(res)) throw wrongHost(name)
  return {
    source: req,
    method: req.method,
    fieldValues: (field) => nodeFieldValues(req, field),
    readBody: () => ('body' in req ? req.body : undefined),
    answer: (answer) => answerNode(res, answer),
    proceed(filter) {
      if (filter !== undefined) filterNodeResponse(res, filter)
      Reflect.apply(next, undefined, [])
    },
  }
}

function answerNode(res: NodeResponse, { status, headers, body }: Answer): void {
  if (res.headersSent) return void Reflect.apply(res.end, res, [])
  res.statusCode = status
  for (const [name, value] of Object.entries(headers)) res.setHeader(name, value)
  Reflect.apply(res.end, res, [body])
}

type Next = () => Promise<unknown>

function isNext(value: unknown): value is Next {
  return typeof value === 'function'
}

function toContextExchange(name: string, context: unknown, next: unknown): Exchange {
  if (isNext(next) && isKoaContext(context)) return toKoaExchange(context, next)
  if (isNext(next) && isHonoContext(context)) return toHonoExchange(context, next)
  throw wrongHost(name)
}

interface KoaContext {
  readonly req: NodeRequest
  readonly res: NodeResponse
  readonly method: string
  readonly request: { readonly body?: unknown }
  status: number
  body: unknown
  set(fields: Readonly<Record<string, string>>): void
}

function isKoaContext(value: unknown): value is KoaContext {
  if (!isObject(value)) return false
  return isNodeRequest(value.req) && isNodeResponse(value.res) && isObject(value.request)
}

function toKoaExchange(ctx: KoaContext, next: Next): Exchange {
  return {
    source: ctx.req,
    method: ctx.method,
    fieldValues: (field) => nodeFieldValues(ctx.req, field),
    readBody: () => ctx.request.body,
    answer({ status, headers, body }) {
      ctx.status = status
      ctx.set(headers)
      ctx.body = body
    },
    proceed(filter) {
      if (filter !== undefined) filterNodeResponse(ctx.res, filter)
      return next()
    },
  }
}

interface HonoContext extends MessageContext {
  readonly req: MessageContext['req'] & { readonly method: string }
  readonly env?: { readonly outgoing?: unknown }
  res: Response | undefined
  newResponse(body: string, init: { status: number }): Response
}

function isHonoContext(value: unknown): value is HonoContext {
  if (!isObject(value) || typeof value.get !== 'function' || !isObject(value.req)) return false
  return isObject(value.req.raw) && 'headers' in value.req.raw
}

function toHonoExchange(c: HonoContext, next: Next): Exchange {
  return {
    source: c,
    method: c.req.method,
    fieldValues(field) {
      const value = c.req.raw.headers.get(field)
      return value === null ? [] : [value]
    },
    readBody: () => honoMessageOf(c),
    answer({ status, headers, body }) {
      const response = c.newResponse(body, { status })
      for (const [field, value] of Object.entries(headers)) response.headers.set(field, value)
      return response
    },
    async proceed(filter) {
      if (filter === undefined) return next()
      const { outgoing } = c.env ?? {}
      const isSentDirectly = isNodeResponse(outgoing) ? filterDirect(outgoing, filter) : () => false
      await next()
      if (c.res === undefined || isSentDirectly(c.res)) return
      const response = await filterWebResponse(c.res, filter)
      // Otherwise Hono would add the fields of the earlier response.
      c.res = undefined
      c.res = response
    },
  }
}

/**
 * On Node, a handler may write to Node's own response and return `RESPONSE_ALREADY_SENT`. Returns whether it
 * did, to be called with the response that it returned.
 */
function filterDirect(outgoing: NodeResponse, filter: ResponseFilter): (response: Response) => boolean {
  let isDirect = true
  let hasBegun = false
  filterNodeResponse(outgoing, {
    head(head, cut) {
      hasBegun = true
      return isDirect ? filter.head(head, cut) : undefined
    },
    closed() {
      if (isDirect) filter.closed?.()
    },
  })
  return ({ headers }) => {
    isDirect = hasBegun || headers.has('x-hono-already-sent')
    return isDirect
  }
}

/**
 * The app reads `headers`, adapters to the Fetch API read `rawHeaders`, and these can differ. A field that
 * came twice is joined by a comma and a blank in one, and occurs twice in the other.
 */
function nodeFieldValues({ headers, rawHeaders = [] }: NodeRequest, name: string): readonly string[] {
  const raw = rawHeaders.filter((_, at) => at % 2 === 1 && rawHeaders[at - 1]?.toLowerCase() === name)
  const own = Object.keys(headers).filter((key) => key.toLowerCase() === name)
  const values = own.map((key) => headers[key]).filter((value) => value !== undefined)
  return [...raw, ...values.map(String).filter((value) => raw.length !== 1 || value !== raw[0])]
}

function isFunction(value: unknown): value is (...values: never[]) => unknown {
  return typeof value === 'function'
}

function wrongHost(name: string): TypeError {
  return new TypeError(
    `${name}() is a middleware for Express, Koa and Hono: app.use(${name}()). This host calls it with other arguments`,
  )
}
