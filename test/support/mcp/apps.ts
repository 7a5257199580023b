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
import * as forExpress from '../../../middleware/express.js'
import * as forHono from '../../../middleware/hono.js'
import * as forKoa from '../../../middleware/koa.js'
import type { Verifier } from '../../../src/index.js'
import type { AnyMiddleware, McpPolicy, McpRules } from '../../../src/mcp/index.js'
import { listen } from '../listen.js'

/** A request at the handler of `/mcp`. */
export interface McpCall {
  readonly method: string
  readonly sessionId: string | undefined
  readonly body: unknown
  /** As the MCP SDK would find it. */
  readonly auth: unknown
}

/** The middleware before the handler: `ajwt` with further middleware, or `protectMcp`. */
export type McpGate =
  | { readonly verifier: Verifier; readonly middleware: readonly AnyMiddleware[] }
  | {
      readonly protect: McpPolicy | Verifier
      readonly rules: McpRules
      readonly options?: Omit<forExpress.ProtectMcpOptions, 'onDenied'>
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

type StartApp = (gate: McpGate, handler: McpHandler) => Promise<string>

/** Every way in which an MCP server can be served. Each starts an app and resolves to its origin. */
export const mcpApps: Readonly<Record<string, StartApp>> = {
  'Express 5': (gate, handler) => startExpress(express(), gate, handler),
  'Express 4': (gate, handler) => startExpress(express4(), gate, handler),
  'Koa 3': (gate, handler) => startKoa(new Koa(), gate, handler),
  'Koa 2': (gate, handler) => startKoa(new Koa2(), gate, handler),
  'Hono 4': (gate, handler) => startHono(gate, handler, false),
  "Hono 4, to Node's response": (gate, handler) => startHono(gate, handler, true),
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
  // If nothing is written for long, this is the only sign that the client is gone.
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
  gate: McpGate,
  handler: McpHandler,
): Promise<string> {
  app.set('env', 'production')
  app.use(express.json())
  if ('protect' in gate) app.use(forExpress.protectMcp(gate.protect, gate.rules, gate.options))
  else app.use(forExpress.ajwt(gate.verifier), ...gate.middleware)
  app.all('/mcp', async (req, res, next) => {
    try {
      const sessionId = req.get('mcp-session-id')
      await writeReply(
        res,
        await handler({ method: req.method, sessionId, body: req.body, auth: Reflect.get(req, 'auth') }),
      )
    } catch (error) {
      next(error)
    }
  })
  return serve(app)
}

async function startKoa(app: Koa, gate: McpGate, handler: McpHandler): Promise<string> {
  app.silent = true
  app.use(async (ctx, next) => {
    const body = await text(ctx.req)
    if (body !== '') Object.assign(ctx.request, { body: JSON.parse(body) })
    return next()
  })
  if ('protect' in gate) app.use(forKoa.protectMcp(gate.protect, gate.rules, gate.options))
  else for (const each of [forKoa.ajwt(gate.verifier), ...gate.middleware]) app.use(each)
  app.use(async (ctx) => {
    const body = 'body' in ctx.request ? ctx.request.body : undefined
    const sessionId = ctx.get('mcp-session-id') || undefined
    const reply = await handler({ method: ctx.method, sessionId, body, auth: Reflect.get(ctx.req, 'auth') })
    ctx.status = reply.status ?? 200
    ctx.set(reply.headers ?? {})
    ctx.body = reply.stream === undefined ? (reply.body ?? null) : Readable.from(reply.stream)
    if (reply.body === undefined && reply.stream === undefined) ctx.status = reply.status ?? 204
  })
  return serve(app.callback())
}

async function startHono(gate: McpGate, handler: McpHandler, isDirect: boolean): Promise<string> {
  const app = new Hono<{ Bindings: HttpBindings; Variables: { parsedBody: unknown; auth: unknown } }>()
  app.use(async (c, next) => {
    const body = await c.req.raw.clone().text()
    if (body !== '') c.set('parsedBody', JSON.parse(body))
    return next()
  })
  if ('protect' in gate) app.use(forHono.protectMcp(gate.protect, gate.rules, gate.options))
  else app.use(forHono.ajwt(gate.verifier), ...gate.middleware)
  app.all('/mcp', async (c) => {
    const sessionId = c.req.header('mcp-session-id')
    const reply = await handler({
      method: c.req.method,
      sessionId,
      body: c.get('parsedBody'),
      auth: isDirect ? Reflect.get(c.env.incoming, 'auth') : c.get('auth'),
    })
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
