import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { getRequestListener, type HttpBindings } from '@hono/node-server'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import express from 'express'
import express4 from 'express4'
import { Hono } from 'hono'
import Koa from 'koa'
import Koa2 from 'koa2'
import { onTestFinished } from 'vitest'
import { ajwt as expressAjwt } from '../../../middleware/express.js'
import { ajwt as honoAjwt } from '../../../middleware/hono.js'
import { ajwt as koaAjwt } from '../../../middleware/koa.js'
import type { Verifier } from '../../../src/index.js'
import type { AnyMiddleware } from '../../../src/mcp/index.js'
import { listen } from '../listen.js'

/** A request at the handler of `/mcp`. */
export interface McpCall {
  readonly method: string
  readonly sessionId: string | undefined
  readonly body: unknown
}

/** The response of a handler. */
export interface McpReply {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  /** The parts of a stream. Its `return` is called when the client is gone or the stream has ended. */
  readonly stream?: AsyncGenerator<string>
}

export type McpHandler = (call: McpCall) => McpReply | Promise<McpReply>

type StartApp = (
  verifier: Verifier,
  middleware: readonly AnyMiddleware[],
  handler: McpHandler,
) => Promise<string>

/** Every way in which an MCP server can be served. Each starts an app and resolves to its origin. */
export const mcpApps: Readonly<Record<string, StartApp>> = {
  'Express 5': (verifier, middleware, handler) => startExpress(express(), verifier, middleware, handler),
  'Express 4': (verifier, middleware, handler) => startExpress(express4(), verifier, middleware, handler),
  'Koa 3': (verifier, middleware, handler) => startKoa(new Koa(), verifier, middleware, handler),
  'Koa 2': (verifier, middleware, handler) => startKoa(new Koa2(), verifier, middleware, handler),
  'Hono 4': (verifier, middleware, handler) => startHono(verifier, middleware, handler, false),
  "Hono 4, to Node's response": (verifier, middleware, handler) =>
    startHono(verifier, middleware, handler, true),
}

type NodeResponse = import('node:http').ServerResponse

/** As apps write: `writeHead` and `write` for streams, one `end` for the rest. */
async function writeReply(res: NodeResponse, { status = 200, headers = {}, body, stream }: McpReply) {
  if (stream === undefined) {
    for (const [name, value] of Object.entries(headers)) res.setHeader(name, value)
    res.statusCode = status
    return void res.end(body)
  }
  res.writeHead(status, headers)
  res.flushHeaders()
  // Where nothing is written for long, only this tells that the client is gone.
  res.once('close', () => void stream.return(undefined))
  for await (const part of stream) {
    if (res.write(part) || res.writableEnded || res.destroyed) continue
    await new Promise<void>((resolve) => {
      res.once('drain', resolve)
      res.once('close', resolve)
    })
  }
  res.end()
}

async function startExpress(
  app: ReturnType<typeof express>,
  verifier: Verifier,
  middleware: readonly AnyMiddleware[],
  handler: McpHandler,
): Promise<string> {
  app.set('env', 'production')
  app.use(express.json())
  app.use(expressAjwt(verifier))
  for (const each of middleware) app.use(each)
  app.all('/mcp', async (req, res, next) => {
    try {
      const sessionId = req.get('mcp-session-id')
      await writeReply(res, await handler({ method: req.method, sessionId, body: req.body }))
    } catch (error) {
      next(error)
    }
  })
  return serve(app)
}

async function startKoa(
  app: Koa,
  verifier: Verifier,
  middleware: readonly AnyMiddleware[],
  handler: McpHandler,
): Promise<string> {
  app.silent = true
  app.use(async (ctx, next) => {
    const body = await text(ctx.req)
    if (body !== '') Object.assign(ctx.request, { body: JSON.parse(body) })
    return next()
  })
  app.use(koaAjwt(verifier))
  for (const each of middleware) app.use(each)
  app.use(async (ctx) => {
    const body = 'body' in ctx.request ? ctx.request.body : undefined
    const sessionId = ctx.get('mcp-session-id') || undefined
    const reply = await handler({ method: ctx.method, sessionId, body })
    ctx.status = reply.status ?? 200
    ctx.set(reply.headers ?? {})
    ctx.body = reply.stream === undefined ? (reply.body ?? null) : Readable.from(reply.stream)
    if (reply.body === undefined && reply.stream === undefined) ctx.status = reply.status ?? 204
  })
  return serve(app.callback())
}

async function startHono(
  verifier: Verifier,
  middleware: readonly AnyMiddleware[],
  handler: McpHandler,
  isDirect: boolean,
): Promise<string> {
  const app = new Hono<{ Bindings: HttpBindings; Variables: { parsedBody: unknown } }>()
  app.use(async (c, next) => {
    const body = await c.req.raw.clone().text()
    if (body !== '') c.set('parsedBody', JSON.parse(body))
    return next()
  })
  app.use(honoAjwt(verifier))
  for (const each of middleware) app.use(each)
  app.all('/mcp', async (c) => {
    const sessionId = c.req.header('mcp-session-id')
    const reply = await handler({ method: c.req.method, sessionId, body: c.get('parsedBody') })
    if (isDirect) {
      void writeReply(c.env.outgoing, reply)
      return RESPONSE_ALREADY_SENT
    }
    const { status = 200, headers = {}, body = null, stream } = reply
    return new Response(stream === undefined ? body : toWebStream(stream), { status, headers })
  })
  return serve(getRequestListener(app.fetch))
}

function toWebStream(parts: AsyncGenerator<string>): ReadableStream<Uint8Array> {
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await parts.next()
      if (done) controller.close()
      else controller.enqueue(new TextEncoder().encode(value))
    },
    async cancel() {
      await parts.return(undefined)
    },
  })
}

async function serve(listener: Parameters<typeof listen>[0]): Promise<string> {
  const app = await listen(listener)
  onTestFinished(() => app.close())
  return app.origin
}
