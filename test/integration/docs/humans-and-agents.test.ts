import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { RequestListener } from 'node:http'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { getRequestListener } from '@hono/node-server'
import passport from 'passport'
import { ExtractJwt, Strategy } from 'passport-jwt'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createKit, ISSUER, issuerJwks, type JwsOverrides, signBytes } from '../../../fixtures/kit.js'
import type { Policy } from '../../../src/index.js'
import { listen } from '../../support/listen.js'

// The apps of docs/humans-and-agents.md, as they stand there, each over a socket.

const root = fileURLToPath(new URL('../../..', import.meta.url))
const guide = readFileSync(join(root, 'docs/humans-and-agents.md'), 'utf8')
const blocks = [...guide.matchAll(/^```js\n(.*?)^```/gms)].map(([, block]) => block as string)
const written: Policy = JSON.parse(/^```json\n(.*?)^```/ms.exec(guide)?.[1] as string)
const policy = { ...written, issuer: { url: ISSUER, jwks: issuerJwks() } }

const secret = 'a secret of at least thirty-two bytes, which both ends know'
const issuer = 'https://login.example.com'

function withStrategy() {
  const own = new passport.Passport()
  const jwtFromRequest = ExtractJwt.fromAuthHeaderAsBearerToken?.()
  own.use(
    new Strategy({ secretOrKey: secret, algorithms: ['HS256'], jwtFromRequest, issuer }, (user, done) =>
      done(null, user),
    ),
  )
  return { passport: own }
}

interface App {
  callback?(): RequestListener
  fetch?(request: Request): Promise<Response>
  /** Of Fastify. */
  routing?: RequestListener
  ready?(): PromiseLike<unknown>
  silent?: boolean
  set?(name: string, value: string): void
}

/** The kind of app decides how Node serves it. */
async function listenerOf(app: App & RequestListener): Promise<RequestListener> {
  if (app.routing !== undefined) {
    await app.ready?.()
    return app.routing
  }
  if (app.fetch !== undefined) return getRequestListener(app.fetch)
  if (app.callback === undefined) {
    app.set?.('env', 'test')
    return app
  }
  app.silent = true
  return app.callback()
}

async function serve(block: number, over: Partial<Policy>) {
  const folder = mkdtempSync(join(root, 'node_modules', '.people-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'app.ts')
  const source = (blocks[block] as string).replace(
    /'ajwt\/(\w+)'/,
    (_, name) => `'${pathToFileURL(root)}middleware/${name}.ts'`,
  )
  writeFileSync(file, source)
  const { createApp } = await import(/* @vite-ignore */ file)
  const { origin, close } = await listen(
    await listenerOf(await createApp({ ...policy, ...over }, { secret, issuer, ...withStrategy() })),
  )
  onTestFinished(close)
  return async (method: string, path: string, headers: Record<string, string>) => {
    const response = await fetch(origin + path, { method, headers })
    const text = await response.text()
    return response.ok ? (JSON.parse(text) as unknown) : response.status
  }
}

const kit = createKit(Date.now())

/** A token of the people's login. */
const person = ({ claims, header, ...over }: JwsOverrides = {}) =>
  kit.token({
    signature: (_, input) => signBytes('HS256', Buffer.from(secret), input),
    ...over,
    header: { alg: 'HS256', typ: 'JWT', kid: undefined, ...header },
    claims: { iss: issuer, sub: 'ada', cnf: undefined, intent: undefined, ...claims },
  })
const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

const order = '/orders/42'
const agent = (over: Parameters<typeof kit.call>[0] = {}) => Object.fromEntries(kit.call(over).headers)
const wrongKey = (_: unknown, input: string) => signBytes('HS256', Buffer.from('another secret'), input)

const requests: [what: string, headers: () => Record<string, string>, answer: unknown][] = [
  ['an agent', agent, { agent: 'agent-7' }],
  ['a person', () => bearer(person()), { person: 'ada' }],
  ['nobody', () => ({}), 401],
  ['an agent whose token has expired', () => agent({ token: { claims: { exp: kit.seconds - 60 } } }), 401],
  ['an agent without the scope', () => agent({ token: { claims: { scope: 'other' } } }), 403],
  ['an agent whose token comes without its proof', () => bearer(kit.token()), 401],
  ['a person whose token another secret has signed', () => bearer(person({ signature: wrongKey })), 401],
  ['a person whose token has expired', () => bearer(person({ claims: { exp: kit.seconds - 60 } })), 401],
  ["a person's token that names the agents' issuer", () => bearer(person({ claims: { iss: ISSUER } })), 401],
  ["a person's token under scheme DPoP", () => ({ authorization: `DPoP ${person()}` }), 401],
  ["a person's token beside a proof", () => ({ ...agent(), ...bearer(person()) }), 401],
  ['a token of three parts that are no JWT', () => bearer('a.b.c'), 401],
  ['another scheme', () => ({ authorization: 'Basic YWRhOmFkYQ==' }), 401],
]

describe.each([
  ['Express and express-jwt', 0],
  ['Express and passport', 1],
  ['Koa and koa-jwt', 2],
  ["Hono and Hono's jwt", 3],
  ['Fastify and @fastify/jwt', 4],
])('people and agents on one API: %s', (_, block) => {
  it.each(requests)('%s', async (_, headers, answer) => {
    const ask = await serve(block, {})
    expect(await ask('GET', order, headers())).toEqual(answer)
  })

  it('keeps people from a route for agents', async () => {
    const ask = await serve(block, {})
    expect(await ask('POST', `${order}/refund`, bearer(person()))).toBe(401)
    expect(await ask('POST', `${order}/refund`, {})).toBe(401)
    const refund = { method: 'POST', path: `${order}/refund`, token: { claims: { scope: 'orders:refund' } } }
    expect(await ask('POST', `${order}/refund`, agent(refund))).toEqual({ agent: 'agent-7' })
  })

  it('an agent whose denial is only observed does not pass as a person', async () => {
    const ask = await serve(block, { mode: 'observe' })
    expect(await ask('GET', order, agent({ token: { claims: { exp: kit.seconds - 60 } } }))).toBe(401)
    expect(await ask('GET', order, agent())).toEqual({ agent: 'agent-7' })
    expect(await ask('GET', order, bearer(person()))).toEqual({ person: 'ada' })
  })
})
