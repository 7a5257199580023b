import type { RequestListener } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { expect } from 'vitest'
import { AUDIENCE } from '../../../fixtures/kit.js'
import { agentExamples } from './agent.js'
import { contentExamples } from './content.js'
import { contentOf, honest, serve } from './issuer.js'
import { policyFileExamples } from './policy-files.js'
import type { Example } from './run.js'
import { socketExamples } from './sockets.js'

/** The policy of the first example in the README, for the examples that use it. */
const policy = `const policy = {
  issuer: 'https://as.example.com',
  audience: 'https://orders.example.com',
  routes: {
    'GET /health': 'public',
    'GET /orders/:id': { scope: 'orders:read' },
    'POST /orders/:id/refund': 'authenticated',
    'POST /rpc': 'authenticated',
  },
} as const`

const express = `import express from 'express'
import { ajwt } from 'ajwt/express'
const app = express()`

type App = RequestListener
type Exports = Record<string, unknown>

const asApp = (exports: Exports) => serve(exports.app as App)

/** Checks that an honest request gets 200 and this body, and a request without credentials 401. */
async function expectProtected(origin: string, expected: object): Promise<void> {
  expect(await contentOf(fetch(`${origin}/orders/42`, honest('/orders/42')))).toEqual([
    200,
    expect.objectContaining(expected),
  ])
  expect((await fetch(`${origin}/orders/42`)).status).toBe(401)
  expect((await fetch(`${origin}/other`, honest('/other'))).status).toBe(403)
}

/** Collects the tests of a block, so that they can be run one after the other. */
const runner = `import { expect } from 'vitest'
const tests: (() => unknown)[] = []
const test = (_name: string, run: () => unknown) => void tests.push(run)`

const testIssuer = `import { createTestIssuer } from 'ajwt/testing'
import express from 'express'
import { ajwt } from 'ajwt/express'
const issuer = createTestIssuer({ audience: 'https://orders.example.com' })
const policy = {
  issuer: issuer.policyIssuer,
  audience: 'https://orders.example.com',
  routes: { 'GET /orders/:id': { scope: 'orders:read' } },
}
const app = express().use(ajwt(policy))
app.get('/orders/:id', (req, res) => void res.json({ order: req.params.id }))`

/** Examples by the name in the comment above the block. */
export const examples: Readonly<Record<string, Example>> = {
  ...agentExamples,
  ...socketExamples,
  ...policyFileExamples(express),
  ...contentExamples(`${express}\n${policy}\napp.use(ajwt(policy))`),
  express: {
    after: 'export { app }',
    check: async (exports) => expectProtected(await asApp(exports), { order: '42', readBy: 'agent-7' }),
  },
  koa: {
    before: policy,
    after: 'app.use((ctx) => { ctx.body = ctx.state.ajwt }); export { app }',
    check: async ({ app }) =>
      expectProtected(await serve((app as { callback(): App }).callback()), {
        agent: expect.objectContaining({ id: 'agent-7' }),
      }),
  },
  hono: {
    before: policy,
    after: "app.get('/orders/:id', (c) => c.json(c.get('ajwt'))); export { app }",
    check: async ({ app }) =>
      expectProtected(await serve(getRequestListener((app as { fetch: never }).fetch)), {
        agent: expect.objectContaining({ id: 'agent-7' }),
      }),
  },
  'fastify-plugin': {
    before: policy,
    after:
      "import { fastifyListener } from '../test/support/fastify.js'\n" +
      'const listener = fastifyListener(app)\nexport { listener }',
    check: async ({ listener }) => {
      const origin = await serve(listener as App)
      await expectProtected(origin, { route: '/orders/:id', readBy: 'agent-7' })
      const path = '/orders/42/refund'
      const may = honest(path, 'POST', { scope: 'orders:refund' })
      expect(await contentOf(fetch(origin + path, may))).toEqual([200, { ok: true }])
      expect((await fetch(origin + path, honest(path, 'POST'))).status).toBe(403)
    },
  },
  cors: {
    before: `import cors from 'cors'\n${express}\nconst origin = 'https://agents.example.com'\n${policy}`,
    after: 'export { app }',
    check: async (exports) => {
      const { headers } = await fetch(`${await asApp(exports)}/orders/42`)
      expect(headers.get('access-control-expose-headers')).toBe('WWW-Authenticate,DPoP-Nonce')
      expect(headers.get('access-control-allow-origin')).toBe('https://agents.example.com')
    },
  },
  'require-intent': {
    before: `${express}\n${policy}\napp.use(ajwt(policy))
const refund = (req, res) => res.json({ refunded: req.params.id })`,
    after: 'export { app }',
    check: async (exports) => {
      const path = '/orders/42/refund'
      const origin = await asApp(exports)
      expect((await fetch(origin + path, honest(path, 'POST', { order_id: '42' }))).status).toBe(200)
      expect((await fetch(origin + path, honest(path, 'POST', { order_id: '43' }))).status).toBe(403)
    },
  },
  authorize: {
    before: policy,
    after: 'export const policies = [byFunction.policy, byDecisionPoint.policy]',
    check: async ({ policies }) => {
      expect(policies).toHaveLength(2)
    },
  },
  'check-intent': {
    before: `${express}\n${policy}\napp.use(ajwt(policy))`,
    after: 'export { app }',
    check: async (exports) => {
      const origin = await asApp(exports)
      expect((await fetch(`${origin}/rpc`, honest('/rpc', 'POST'))).status).toBe(403)
      const may = honest('/rpc', 'POST', { scope: 'orders:refund' })
      expect(await contentOf(fetch(`${origin}/rpc`, may))).toEqual([200, { refunded: true }])
    },
  },
  'on-denied': {
    before: `${express}\n${policy}`,
    after:
      "app.use((error, req, res, next) => res.status(error.status).send('own ' + error.code)); export { app }",
    check: async (exports) => {
      const answer = fetch(`${await asApp(exports)}/orders/42`)
      expect(await contentOf(answer)).toEqual([401, 'own credentials_missing'])
    },
  },
  'fetch-handler': {
    before: policy,
    check: async ({ GET }) => {
      const handle = GET as (request: Request) => Promise<Response>
      const answer = handle(new Request(`${AUDIENCE}/orders/42`, honest('/orders/42')))
      expect(await contentOf(answer)).toEqual([200, { agent: 'agent-7' }])
      expect((await handle(new Request(`${AUDIENCE}/orders/42`))).status).toBe(401)
    },
  },
  routing: {
    before: `import { createVerifier } from 'ajwt'
import { honest } from '../test/support/docs/issuer.js'
${policy}
const verifier = createVerifier(policy)
const [method, url, headers] = ['GET', 'https://orders.example.com/orders/17', honest('/orders/17').headers]`,
    after: 'export { decision }',
    check: ({ decision }) =>
      expect(decision).toMatchObject({
        outcome: 'allow',
        grant: { route: '/orders/:id', params: { id: '17' } },
      }),
  },
  'verifier-check': {
    before: `import { createVerifier } from 'ajwt'
import { honest } from '../test/support/docs/issuer.js'
${policy}
const verifier = createVerifier(policy)
const { headers } = honest('/orders/17')
const decision = await verifier.verify({ method: 'GET', url: '/orders/17', headers })
export const attempt = async () => {`,
    after: '}',
    check: ({ attempt }) =>
      expect((attempt as () => Promise<void>)()).rejects.toMatchObject({ code: 'scope_insufficient' }),
  },
  'memory-revocations': {
    before: `import { honest } from '../test/support/docs/issuer.js'\n${policy}`,
    after: `export const ask = async () =>
  (await verifier.verify({ url: '/orders/17', ...honest('/orders/17') })).outcome
export const revoke = () => revocations.revoke('agent:https://as.example.com agent-7', inOneHour)
export { current }`,
    check: async ({ ask, revoke, current }) => {
      expect(current).toEqual([expect.objectContaining({ id: 'agent:https://as.example.com refunder' })])
      const outcome = ask as () => Promise<string>
      expect(await outcome()).toBe('allow')
      ;(revoke as () => void)()
      expect(await outcome()).toBe('deny')
    },
  },
  redis: {
    needsRedis: true,
    before: `import { startRedis } from '../test/support/redis/server.js'
import { honest } from '../test/support/docs/issuer.js'
${policy}
const server = await startRedis()
const redisUrl = 'redis://127.0.0.1:' + server.port
const nonceSecret = 'a secret of the fleet'`,
    after: `const { headers } = honest('/orders/17')
const ask = async () => (await verifier.verify({ method: 'GET', url: '/orders/17', headers })).outcome
await new Promise((resolve) => setTimeout(resolve, 2000))
export const outcomes = [await ask(), await ask()]
await revocations.close()
client.disconnect()
await server.stop()`,
    check: ({ outcomes }) => expect(outcomes).toContain('deny'),
  },
  ready: {
    before: `import { createVerifier } from 'ajwt'\n${policy}\nconst verifier = createVerifier(policy)`,
    after: 'export { ready, issuers }',
    check: ({ ready, issuers }) =>
      expect([ready, issuers]).toEqual([true, [{ url: 'https://as.example.com', ready: true }]]),
  },
  'audit-log': {
    before: `import { Writable } from 'node:stream'
import { pino as realPino } from 'pino'
${express}
${policy}
export const lines: string[] = []
const pino = () => realPino(new Writable({ write(line, _, done) { lines.push(String(line)); done() } }))`,
    after: 'export { app }',
    check: async (exports) => {
      await fetch(`${await asApp(exports)}/orders/42`)
      const [line = ''] = exports.lines as string[]
      expect(JSON.parse(line)).toMatchObject({
        code: 'credentials_missing',
        stage: 'request',
        route: '/orders/:id',
        cause: { reason: expect.any(String) },
      })
    },
  },
  explain: {
    before: `import { createVerifier } from 'ajwt'
${policy}
const verifier = createVerifier(policy)
const request = { method: 'GET', url: '/orders/42', headers: {} }
export const told: unknown[] = []
const console = { log: (...args: unknown[]) => void told.push(args) }`,
    check: ({ told }) =>
      expect(told).toEqual([
        ['request', 'credentials', 'one token, of scheme DPoP or Bearer', 'no token', expect.any(String)],
      ]),
  },
  'denial-log': {
    before: `${express}
${policy}
export const lines: string[] = []
const console = { warn: (line: unknown) => void lines.push(String(line)) }`,
    after: 'export { app }',
    check: async (exports) => {
      await fetch(`${await asApp(exports)}/orders/42`)
      expect(exports.lines).toEqual([
        expect.stringMatching(/^ajwt deny 401 credentials_missing stage=request route="GET \/orders\/:id" /),
      ])
    },
  },
  otel: {
    // Port 0: the exporter listens, and another test may run at the same time.
    before: "process.env.OTEL_EXPORTER_PROMETHEUS_PORT = '0'",
    after: `import { trace } from '@opentelemetry/api'
export const isRecording = trace.getTracer('docs').startSpan('one').isRecording()
trace.disable()
metrics.disable()`,
    check: ({ isRecording }) => expect(isRecording).toBe(true),
  },
  'test-issuer': {
    after: `import { createVerifier } from 'ajwt'
export const decision = await createVerifier(policy).verify({
  method: 'GET',
  url: '/orders/17',
  headers: issuer.headers({ url: '/orders/17', scope: 'orders:read' }),
})`,
    check: ({ decision }) => expect(decision).toMatchObject({ outcome: 'allow' }),
  },
  supertest: {
    before: `${runner}\n${testIssuer}`,
    after: 'export { tests }',
    check: async ({ tests }) => {
      expect(tests).toHaveLength(2)
      for (const run of tests as (() => unknown)[]) await run()
    },
  },
  'supertest-koa': {
    before: `${runner}
import Koa from 'koa'
import { ajwt as forKoa } from 'ajwt/koa'
${testIssuer.replaceAll('app', 'another')}
const app = new Koa().use(forKoa(policy)).use((ctx) => {
  ctx.body = { order: ctx.path.split('/')[2] }
})`,
    after: 'export { tests }',
    check: async ({ tests }) => {
      expect(tests).toHaveLength(1)
      for (const run of tests as (() => unknown)[]) await run()
    },
  },
  'verify-routes': {
    before: `${runner}\n${testIssuer}`,
    after:
      "for (const run of tests) await run()\napp.get('/late', () => {})\n" +
      'export const late = await verifyRoutes(app, policy)',
    check: ({ late }) => {
      expect(late).toMatchObject({ uncovered: [{ method: 'GET', path: '/late' }] })
    },
  },
  'test-fetch': {
    before: `import { Hono } from 'hono'
import { ajwt as forHono } from 'ajwt/hono'
${testIssuer.replaceAll('app', 'another')}
const app = new Hono().use(forHono(policy))
app.get('/orders/:id', (c) => c.text('order ' + c.req.param('id')))`,
    after: 'export const body = await answer.text()',
    check: ({ body }) => expect(body).toBe('order 17'),
  },
  attacks: {
    before: `import { expect } from 'vitest'
import { serve } from '../test/support/docs/issuer.js'
${testIssuer}
const origin = await serve(app)`,
    after: 'export { rows }',
    check: ({ rows }) => expect((rows as unknown[]).length).toBeGreaterThan(20),
  },
}
