import type { IncomingMessage, RequestListener } from 'node:http'
import { buffer } from 'node:stream/consumers'
import { getRequestListener } from '@hono/node-server'
import fastify from 'fastify'
import { Hono } from 'hono'
import Koa from 'koa'
import * as forExpress from '../../../middleware/express.js'
import * as forFastify from '../../../middleware/fastify.js'
import * as forHono from '../../../middleware/hono.js'
import * as forKoa from '../../../middleware/koa.js'
import { createVerifier, type Grant, type Policy, type Verifier } from '../../../src/index.js'
import { decideMessage, type McpRules, mcpAuthInfo } from '../../../src/mcp/index.js'
import { fastifyListener } from '../fastify.js'
import type { AuthInfo, McpApps, McpBackend } from './contract.js'

export interface McpAppSpec {
  readonly policy: Policy | Verifier
  readonly rules: McpRules
  readonly backend: McpBackend
}

export type McpFramework = 'Express' | 'Fastify' | 'Koa' | 'Hono' | 'node:http'

/** An app with the whole middleware before the backend, mounted at `/mcp`. */
export function mcpApp(
  framework: McpFramework,
  spec: McpAppSpec,
  apps: McpApps,
  sdk: 1 | 2,
): RequestListener {
  if (framework === 'node:http') return plainApp(spec)
  if (framework === 'Fastify') return fastifyApp(spec)
  if (framework === 'Koa') return koaApp(spec)
  if (framework === 'Hono') return honoApp(spec, sdk === 1 ? new Hono() : apps.hono2())
  return expressApp(spec, sdk === 1 ? apps.express1() : apps.express2())
}

function expressApp(
  { policy, rules, backend }: McpAppSpec,
  app: ReturnType<McpApps['express1']>,
): RequestListener {
  app.use(forExpress.protectMcp(policy, rules))
  app.all('/mcp', (request, response) => backend.node(request, response))
  return app
}

function koaApp({ policy, rules, backend }: McpAppSpec): RequestListener {
  const app = new Koa()
  app.use(async (ctx, next) => {
    if (ctx.method === 'POST') Object.assign(ctx.request, { body: await readJson(ctx.req) })
    await next()
  })
  app.use(forKoa.protectMcp(policy, rules))
  app.use(async (ctx) => {
    ctx.respond = false
    const body: unknown = Reflect.get(ctx.request, 'body')
    await backend.node(Object.assign(ctx.req, { body }), ctx.res)
  })
  return app.callback()
}

/** A JSON parser. It leaves the body undefined where it can read none. */
async function readJson(request: IncomingMessage): Promise<unknown> {
  const bytes = await buffer(request)
  if (request.headers['content-type'] !== 'application/json' || bytes.length > MAX_BYTES) return undefined
  try {
    return JSON.parse(bytes.toString())
  } catch {
    return undefined
  }
}

const MAX_BYTES = 100_000

function honoApp({ policy, rules, backend }: McpAppSpec, app: Hono<forHono.McpEnv>): RequestListener {
  app.use(forHono.protectMcp(policy, rules))
  app.all('/mcp', (c) => {
    const authInfo = c.get('auth')
    // Set by createMcpHonoApp, as the SDK's examples pass it on.
    const parsedBody: unknown = Reflect.get(c.var, 'parsedBody')
    return backend.web(c.req.raw, { parsedBody, ...(authInfo !== undefined && { authInfo }) })
  })
  return getRequestListener(app.fetch)
}

function fastifyApp({ policy, rules, backend }: McpAppSpec): RequestListener {
  const app = fastify()
  app.register(forFastify.ajwt, 'verify' in policy ? { verifier: policy } : { policy })
  app.all('/mcp', { preHandler: forFastify.requireToolIntent(rules) }, async ({ raw, body, ajwt }, reply) => {
    reply.hijack()
    await backend.node(Object.assign(raw, { body }, authOf(ajwt)), reply.raw)
  })
  return fastifyListener(app)
}

/** A host without an adapter. */
function plainApp({ policy, rules, backend }: McpAppSpec): RequestListener {
  const verifier = 'verify' in policy ? policy : createVerifier(policy)
  return async (request, response) => {
    const { method = '', url = '', headers } = request
    if (url.startsWith('/.well-known/oauth-protected-resource')) {
      response.setHeader('content-type', 'application/json').end(JSON.stringify(verifier.metadata()))
      return
    }
    const decision = await verifier.verify({ method, url, headers })
    const body = method === 'POST' ? await readJson(request) : undefined
    const { response: refused } = await decideMessage(rules, body, decision, headers)
    if (refused !== undefined) {
      response.writeHead(refused.status, Object.fromEntries(refused.headers)).end(await refused.text())
      return
    }
    const grant = decision.outcome === 'allow' ? decision.grant : undefined
    await backend.node(Object.assign(request, { body }, authOf(grant)), response)
  }
}

function authOf(grant: Grant | undefined): { auth?: AuthInfo } {
  return grant === undefined ? {} : { auth: mcpAuthInfo(grant) }
}
