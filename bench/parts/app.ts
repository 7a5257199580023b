/** A server in a separate process, protected or not. The parent process sends its settings. */
import { createPublicKey, verify as verifySignature } from 'node:crypto'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import KoaRouter from '@koa/router'
import express, { type ErrorRequestHandler } from 'express'
import { auth } from 'express-oauth2-jwt-bearer'
import Fastify from 'fastify'
import { Hono } from 'hono'
import Koa from 'koa'
import * as forExpress from '../../middleware/express.js'
import * as forFastify from '../../middleware/fastify.js'
import * as forHono from '../../middleware/hono.js'
import * as forKoa from '../../middleware/koa.js'
import { createVerifier, type Policy } from '../../src/index.js'
import { toDer } from '../../src/jws/ecdsa-der.js'
import { engineOf } from '../../src/verifier.js'
import { median } from './statistics.js'
import { createWorkload, ISSUER } from './workload.js'

export type Framework = 'Express' | 'Koa' | 'Hono' | 'Fastify' | 'node:http'
export type Guard =
  | 'none'
  | 'one raw verification'
  | 'ajwt'
  | 'express-oauth2-jwt-bearer'
  | 'ajwt, event loop'
  | 'ajwt, thread pool'

export interface AppSettings {
  readonly framework: Framework
  readonly guard: Guard
  /** The URL of the API, for `aud` and `htu`. */
  readonly url: string
  readonly jwks: { readonly keys: readonly Record<string, unknown>[] }
  readonly jwksUri: string
}

const body = { order: '1', state: 'shipped' }

function policyOf({ jwks, url }: AppSettings): Policy {
  return {
    issuer: { url: ISSUER, jwks: jwks as never },
    audience: url,
    routes: {
      'GET /health': 'public',
      'GET /orders/:id': { scope: 'orders:read', intent: { workflow: 'refund', step: 'issue' } },
    },
  }
}

async function listenerOf(settings: AppSettings): Promise<RequestListener> {
  const { framework, guard, url, jwksUri } = settings
  if (framework === 'Koa') {
    const app = new Koa()
    if (guard === 'ajwt') app.use(forKoa.ajwt(policyOf(settings)))
    if (guard === 'one raw verification') {
      app.use((_, next) => {
        verifyOnce()
        return next()
      })
    }
    const router = new KoaRouter().get('/orders/:id', (context) => {
      context.body = body
    })
    return app.use(router.routes()).callback()
  }
  if (framework === 'Hono') {
    const app = new Hono()
    if (guard === 'ajwt') app.use(forHono.ajwt(policyOf(settings)))
    if (guard === 'one raw verification') {
      app.use((_, next) => {
        verifyOnce()
        return next()
      })
    }
    return getRequestListener(app.get('/orders/:id', (context) => context.json(body)).fetch)
  }
  if (framework === 'Fastify') {
    const app = Fastify()
    if (guard === 'ajwt') app.register(forFastify.ajwt, { policy: policyOf(settings) })
    if (guard === 'one raw verification') {
      app.addHook('onRequest', (_request, _reply, done) => {
        verifyOnce()
        done()
      })
    }
    app.get('/orders/:id', (_, reply) => {
      reply.send(body)
    })
    await app.ready()
    return app.routing
  }
  if (framework === 'node:http') {
    const verifier = createVerifier(policyOf(settings))
    engineOf(verifier).setSignatureThread(guard === 'ajwt, thread pool' ? 'pool' : 'loop')
    return async (request, response) => {
      const { method = '', url: target = '', headers } = request
      const { outcome } = await verifier.verify({ method, url: target, headers })
      response.writeHead(outcome === 'allow' ? 200 : 401, { 'content-type': 'application/json' })
      response.end(JSON.stringify(body))
    }
  }
  const app = express()
  if (guard === 'ajwt') app.use(forExpress.ajwt(policyOf(settings)))
  if (guard === 'one raw verification') {
    app.use((_request, _response, next) => {
      verifyOnce()
      next()
    })
  }
  if (guard === 'express-oauth2-jwt-bearer') {
    const dpop = { enabled: true, required: true }
    app.use(auth({ issuer: ISSUER, audience: url, jwksUri, tokenSigningAlg: 'ES256', dpop }))
  }
  app.get('/orders/:id', (_, response) => {
    response.json(body)
  })
  // The default handler of Express would print every error.
  app.use(((error, _request, response, _next) => {
    response.status(error.status ?? 500).end()
  }) satisfies ErrorRequestHandler)
  return app
}

/** Milliseconds of each raw verification since the last message about them. */
let times: number[] = []

/**
 * Verifies one signature of a proof with an imported key, which is the least that any check of a proof costs.
 */
const verifyOnce = (() => {
  const workload = createWorkload()
  const agent = workload.agent()
  const text = workload.request(agent, workload.token(agent)).headers.dpop as string
  const dot = text.lastIndexOf('.')
  const data = Buffer.from(text.slice(0, dot))
  const signature = toDer(Buffer.from(text.slice(dot + 1), 'base64url'))
  const key = createPublicKey({ key: agent.key.jwk as never, format: 'jwk' })
  return () => {
    const began = performance.now()
    if (!verifySignature('sha256', data, key, signature)) throw new Error('the raw verification failed')
    times.push(performance.now() - began)
  }
})()

let listener: RequestListener = (_, response) => response.end()
const server = createServer((request, response) => listener(request, response))
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }))

let cpu = process.cpuUsage()

process.on('message', async (message: AppSettings | 'usage') => {
  if (message === 'usage') {
    const { user, system } = process.cpuUsage(cpu)
    cpu = process.cpuUsage()
    process.send?.({ rawVerification: times.length === 0 ? 0 : median(times), cpu: user + system })
    times = []
  } else {
    listener = await listenerOf(message)
    process.send?.({ ready: true })
  }
})
process.on('disconnect', () => process.exit())
