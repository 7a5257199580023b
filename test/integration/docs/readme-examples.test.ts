import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { getRequestListener } from '@hono/node-server'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { AUDIENCE, createKit, ISSUER, issuerJwks } from '../../../fixtures/kit.js'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const blocks = [...readFileSync(join(root, 'README.md'), 'utf8').matchAll(/^```ts\n(.*?)^```/gms)].map(
  ([, code]) => code as string,
)

/** What the first example says in full, and the others take for granted. */
const policy = `{
  issuer: '${ISSUER}',
  audience: '${AUDIENCE}',
  routes: { 'GET /health': 'public', 'GET /orders/:id': { scope: 'orders:read' }, 'POST /orders/:id/refund': 'authenticated' },
}`

const folder = mkdtempSync(join(root, 'node_modules', '.readme-'))
afterAll(() => rmSync(folder, { recursive: true }))

let count = 0
/** Runs an example as it stands, with what it takes for granted before it and more behind it. */
async function run(code: string, before = '', behind = ''): Promise<Record<string, unknown>> {
  const text = `${before}\n${code}\n${behind}`
    .replaceAll(/'ajwt\/(express|koa|hono)'/g, (_, name) => `'${pathToFileURL(root)}middleware/${name}.ts'`)
    .replaceAll("from 'ajwt'", `from '${pathToFileURL(root)}src/index.ts'`)
  const file = join(folder, `example-${count++}.ts`)
  writeFileSync(file, text)
  return import(/* @vite-ignore */ file)
}

function example(...parts: string[]): string {
  const found = blocks.filter((code) => parts.every((part) => code.includes(part)))
  expect(found).toHaveLength(1)
  return found[0] as string
}

const closing: (() => void)[] = []
const realFetch = globalThis.fetch
beforeEach(() => {
  // The issuer of the examples: its metadata and its keys, and nothing else of the network.
  vi.stubGlobal('fetch', async (input: string | URL | Request, init?: RequestInit) => {
    const url = String(input)
    if (url.startsWith('http://127.0.0.1:')) return realFetch(input, init)
    if (url === `${ISSUER}/.well-known/oauth-authorization-server`) {
      return Response.json({ issuer: ISSUER, jwks_uri: `${ISSUER}/jwks` })
    }
    return url === `${ISSUER}/jwks` ? Response.json(issuerJwks()) : new Response(null, { status: 404 })
  })
})
afterEach(() => {
  vi.unstubAllGlobals()
  for (const close of closing.splice(0)) close()
})

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closing.push(() => server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

function honest(path: string, method = 'GET', claims: Record<string, unknown> = {}): RequestInit {
  const { headers } = createKit(Date.now()).call({ path, method, token: { claims } })
  return { method, headers: Object.fromEntries(headers) }
}

describe('the examples of the README', () => {
  beforeAll(() => expect(blocks.length).toBeGreaterThan(6))

  it('protects an Express API, as on the first screen', async () => {
    const { app } = await run(blocks[0] as string, '', 'export { app }')
    const origin = await serve(app as RequestListener)
    const answer = await fetch(`${origin}/orders/42`, honest('/orders/42'))
    expect([answer.status, await answer.json()]).toEqual([200, { order: '42', readBy: 'agent-7' }])
    expect((await fetch(`${origin}/orders/42`)).status).toBe(401)
    expect((await fetch(`${origin}/other`, honest('/other'))).status).toBe(403)
  })

  it('protects a Koa API', async () => {
    const behind = 'app.use((ctx) => { ctx.body = ctx.state.ajwt }); export { app }'
    const { app } = await run(example("'ajwt/koa'"), `const policy = ${policy}`, behind)
    const origin = await serve((app as { callback(): RequestListener }).callback())
    const answer = await fetch(`${origin}/orders/42`, honest('/orders/42'))
    expect(await answer.json()).toMatchObject({ agent: { id: 'agent-7' } })
    expect((await fetch(`${origin}/orders/42`)).status).toBe(401)
  })

  it('protects a Hono API', async () => {
    const behind = "app.get('/orders/:id', (c) => c.json(c.get('ajwt'))); export { app }"
    const { app } = await run(example("'ajwt/hono'"), `const policy = ${policy}`, behind)
    const origin = await serve(getRequestListener((app as { fetch: never }).fetch))
    const answer = await fetch(`${origin}/orders/42`, honest('/orders/42'))
    expect(await answer.json()).toMatchObject({ agent: { id: 'agent-7' } })
    expect((await fetch(`${origin}/orders/42`)).status).toBe(401)
  })

  it('applies one more rule at a handler', async () => {
    const before = `import express from 'express'
      import { ajwt } from 'ajwt/express'
      const app = express()
      app.use(ajwt(${policy}))
      const refund = (req, res) => res.json({ refunded: req.params.id })`
    const { app } = await run(example('requireIntent', 'order_id'), before, 'export { app }')
    const origin = await serve(app as RequestListener)
    const path = '/orders/42/refund'
    expect((await fetch(origin + path, honest(path, 'POST', { order_id: '42' }))).status).toBe(200)
    expect((await fetch(origin + path, honest(path, 'POST', { order_id: '43' }))).status).toBe(403)
  })

  it('lets an app answer in its own way', async () => {
    const before = `import express from 'express'
      import { ajwt } from 'ajwt/express'
      const app = express()
      const policy = ${policy}`
    const behind =
      "app.use((error, req, res, next) => res.status(error.status).send('own ' + error.code)); export { app }"
    const { app } = await run(example('onDenied'), before, behind)
    const answer = await fetch(`${await serve(app as RequestListener)}/orders/42`)
    expect([answer.status, await answer.text()]).toEqual([401, 'own credentials_missing'])
  })

  it('goes with a CORS helper', async () => {
    const before = `import cors from 'cors'
      import express from 'express'
      import { ajwt } from 'ajwt/express'
      const app = express()
      const origin = 'https://agents.example.com'
      const policy = ${policy}`
    const { app } = await run(example('cors('), before, 'export { app }')
    const answer = await fetch(`${await serve(app as RequestListener)}/orders/42`)
    expect(answer.headers.get('access-control-expose-headers')).toBe('WWW-Authenticate,DPoP-Nonce')
    expect(answer.headers.get('access-control-allow-origin')).toBe('https://agents.example.com')
  })

  it('needs no framework', async () => {
    const { GET } = await run(example("'ajwt'", 'Request'), `const policy = ${policy}`)
    const handle = GET as (request: Request) => Promise<Response>
    const answer = await handle(new Request(`${AUDIENCE}/orders/42`, honest('/orders/42')))
    expect([answer.status, await answer.json()]).toEqual([200, { agent: 'agent-7' }])
    expect((await handle(new Request(`${AUDIENCE}/orders/42`))).status).toBe(401)
  })

  it('takes the pattern that another router has matched', async () => {
    const path = '/orders/17'
    const url = AUDIENCE + path
    const before = `import { createVerifier } from 'ajwt'
      const verifier = createVerifier(${policy})
      const [method, url, headers] = ['GET', '${url}', ${JSON.stringify(honest(path).headers)}]`
    const { decision } = await run(example('routing: { route'), before, 'export { decision }')
    expect(decision).toMatchObject({
      outcome: 'allow',
      grant: { route: '/orders/:id', params: { id: '17' } },
    })
  })

  it('checks one more rule for a part of a request', async () => {
    const before = `import { createVerifier } from 'ajwt'
      const verifier = createVerifier(${policy})
      const headers = ${JSON.stringify(honest('/orders/17').headers)}
      const decision = await verifier.verify({ method: 'GET', url: '/orders/17', headers })`
    const checking = run(example('verifier.check'), before)
    await expect(checking).rejects.toMatchObject({ code: 'scope_insufficient', status: 403 })
  })
})
