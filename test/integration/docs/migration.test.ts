import { createPublicKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import express from 'express'
import { expressjwt } from 'express-jwt'
import { auth } from 'express-oauth2-jwt-bearer'
import { Hono } from 'hono'
import { jwk } from 'hono/jwk'
import Koa from 'koa'
import koaJwt from 'koa-jwt'
import passport from 'passport'
import { ExtractJwt, Strategy } from 'passport-jwt'
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  AUDIENCE,
  agentKeys,
  createKit,
  ISSUER,
  issuerKeys,
  type JwsOverrides,
  published,
  signBytes,
} from '../../../fixtures/kit.js'
import { createVerifier, type Policy, policySchema } from '../../../src/index.js'
import { outcomeOf } from '../../support/verify.js'

// The statements of docs/migration.md on other libraries and on this one, each with the same request.

const guide = readFileSync(new URL('../../../docs/migration.md', import.meta.url), 'utf8')

const SECRET = 'a secret of at least thirty-two bytes, which both ends know'
const pem = createPublicKey({ key: issuerKeys.es256.jwk, format: 'jwk' }).export({
  type: 'spki',
  format: 'pem',
})

interface Settings {
  /** The shared secret in place of the issuer's key. */
  readonly secret?: string
  readonly ignoreExpiration?: boolean
  /** Further places of a token. */
  readonly from?: 'query' | 'cookie'
}

/** The libraries, each as its documentation sets it up, in front of handlers for every path. */
const libraries = {
  'express-oauth2-jwt-bearer': ({ secret }: Settings) => {
    const key =
      secret === undefined
        ? { publicKey: { ...published(issuerKeys.es256) }, tokenSigningAlg: 'ES256' }
        : { secret, tokenSigningAlg: 'HS256' }
    return express().use(auth({ issuer: ISSUER, audience: AUDIENCE, ...key }), answer)
  },
  'express-jwt': ({ secret, ignoreExpiration = false }: Settings) =>
    express().use(
      expressjwt({ ...keyOf(secret), issuer: ISSUER, audience: AUDIENCE, ignoreExpiration }),
      answer,
    ),
  'koa-jwt': ({ secret, ignoreExpiration = false, from }: Settings) => {
    const options = { ...keyOf(secret), issuer: ISSUER, audience: AUDIENCE, ignoreExpiration }
    const app = new Koa().use(koaJwt(from === 'cookie' ? { ...options, cookie: 'token' } : options))
    app.use((context) => {
      context.body = 'in'
    })
    return app.callback()
  },
  jwk: ({ from }: Settings) => {
    const cookie = from === 'cookie' ? { cookie: 'token' } : {}
    const app = new Hono()
    const keys = [{ ...published(issuerKeys.es256), kid: 'as-es256' }]
    app.use(jwk({ keys, alg: ['ES256'], verification: { iss: ISSUER, aud: AUDIENCE }, ...cookie }))
    app.all('*', (context) => context.text('in'))
    return getRequestListener(app.fetch)
  },
  'passport-jwt': ({ secret, ignoreExpiration = false, from }: Settings) => {
    const { secret: secretOrKey, algorithms } = keyOf(secret)
    const jwtFromRequest =
      from === 'query'
        ? ExtractJwt.fromUrlQueryParameter?.('access_token')
        : ExtractJwt.fromAuthHeaderAsBearerToken?.()
    const own = new passport.Passport()
    own.use(
      new Strategy(
        { secretOrKey, algorithms, jwtFromRequest, issuer: ISSUER, audience: AUDIENCE, ignoreExpiration },
        (user, done) => done(null, user),
      ),
    )
    return express().use(own.authenticate('jwt', { session: false }), answer)
  },
} satisfies Record<string, (settings: Settings) => RequestListener>

type Library = keyof typeof libraries
const all = Object.keys(libraries) as Library[]
const ofJsonwebtoken: Library[] = ['express-jwt', 'koa-jwt', 'passport-jwt']

function keyOf(secret: string | undefined) {
  return secret === undefined
    ? { secret: pem, algorithms: ['ES256' as const] }
    : { secret, algorithms: ['HS256' as const] }
}

function answer(_: unknown, response: express.Response): void {
  response.send('in')
}

/** The status that the library answers with. */
async function statusOf(
  library: Library,
  settings: Settings,
  request: { method?: string; path?: string; headers: Record<string, string> },
) {
  const server = createServer(libraries[library](settings))
  // A refusal of Koa's or of Express's is not to be printed.
  server.on('error', () => {})
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  onTestFinished(() => void server.close())
  const { port } = server.address() as AddressInfo
  const { method = 'GET', path = '/orders/42', headers } = request
  return (await fetch(`http://127.0.0.1:${port}${path}`, { method, headers })).status
}

const policy: Policy = JSON.parse(/^```json\n(.*?)^```/ms.exec(guide)?.[1] as string)

/** The code, or the outcome, under the policy with which the guide begins. */
async function ours(request: { method?: string; path?: string; headers: Record<string, string> }) {
  const issuer = { ...Object(policy.issuer), jwks: { keys: [published(issuerKeys.es256)] } }
  const verifier = createVerifier({ ...policy, issuer })
  onTestFinished(() => verifier.close())
  const { method = 'GET', path = '/orders/42', headers } = request
  return outcomeOf(await verifier.verify({ method, url: path, headers }))
}

const kit = createKit(Date.now())
const unbound = { cnf: undefined, intent: undefined, agent_proof: undefined }
// Hono's jwk accepts no other type than JWT.
const token = ({ claims, header, ...over }: JwsOverrides = {}) =>
  kit.token({ ...over, header: { typ: 'JWT', ...header }, claims: { ...unbound, ...claims } })
const bearer = (over?: JwsOverrides) => ({ headers: { authorization: `Bearer ${token(over)}` } })

const shared = token({
  header: { alg: 'HS256', kid: undefined },
  signature: (_, input) => signBytes('HS256', Buffer.from(SECRET), input),
})
const expired = bearer({ claims: { iat: kit.seconds - 300, exp: kit.seconds - 60 } })

/** Each row of the table: the request, the libraries that let it in, and the code here. */
const rows: [row: string, Library[], Settings, Parameters<typeof ours>[0], string][] = [
  [
    'a token without `exp`',
    [...ofJsonwebtoken, 'jwk'],
    {},
    bearer({ claims: { exp: undefined } }),
    'claims_invalid',
  ],
  ['a token without `jti`', all, {}, bearer({ claims: { jti: undefined } }), 'claims_invalid'],
  [
    'a token that is valid for a day',
    all,
    {},
    bearer({ claims: { exp: kit.seconds + 86_400 } }),
    'token_lifetime_exceeded',
  ],
  [
    'an ID token for the same audience',
    all,
    {},
    bearer({ claims: { nonce: 'n-0S6' } }),
    'token_type_not_allowed',
  ],
  [
    'a token that is bound to a DPoP key, sent as Bearer',
    all.filter((name) => name !== 'express-oauth2-jwt-bearer'),
    {},
    bearer({ claims: { cnf: { jkt: agentKeys.seven.thumbprint } } }),
    'proof_required',
  ],
  [
    'a token in the query or in a cookie',
    ['passport-jwt'],
    { from: 'query' },
    { path: `/orders/42?access_token=${token()}`, headers: {} },
    'credentials_missing',
  ],
  [
    'a token in the query or in a cookie',
    ['koa-jwt', 'jwk'],
    { from: 'cookie' },
    { headers: { cookie: `token=${token()}` } },
    'credentials_missing',
  ],
  [
    'HS256',
    all.filter((name) => name !== 'jwk'),
    { secret: SECRET },
    { headers: { authorization: `Bearer ${shared}` } },
    'algorithm_not_allowed',
  ],
  ['an expired token', ofJsonwebtoken, { ignoreExpiration: true }, expired, 'token_expired'],
  ['an undeclared path', all, {}, { ...bearer(), path: '/admin' }, 'route_not_declared'],
  [
    'a CORS preflight',
    ['express-jwt'],
    {},
    {
      method: 'OPTIONS',
      path: '/admin',
      headers: {
        origin: 'https://shop.example.com',
        'access-control-request-method': 'GET',
        'access-control-request-headers': 'authorization',
      },
    },
    'credentials_missing',
  ],
]

describe('docs/migration.md', () => {
  it('has a row of its table for each of these', () => {
    const differences = guide.split('## Different results')[1]?.split('Further differences')[0] ?? ''
    const documented = [...differences.matchAll(/^\| ([^|]+) \|/gm)]
      .map(([, row]) => row)
      .filter((row) => !/^(request|---)/.test(row as string))
    expect([...new Set(rows.map(([row]) => row))]).toEqual(documented)
    for (const [row, , , , reason] of rows) {
      const line = differences.split('\n').find((one) => one.startsWith(`| ${row} |`))
      expect(reason === 'credentials_missing' || line?.includes(`\`${reason}\``)).toBe(true)
    }
  })

  it.each(all)(
    '%s and ajwt accept an ordinary token, and refuse a forged one and one for another API',
    async (library) => {
      expect([await statusOf(library, {}, bearer()), await ours(bearer())]).toEqual([200, 'allow'])
      const forged = bearer({ key: { ...issuerKeys.stranger, kid: 'as-es256' } })
      expect([await statusOf(library, {}, forged), await ours(forged)]).toEqual([401, 'signature_invalid'])
      const elsewhere = bearer({ claims: { aud: 'https://other.example.com' } })
      expect([await statusOf(library, {}, elsewhere), await ours(elsewhere)]).toEqual([
        401,
        'audience_mismatch',
      ])
    },
  )

  it.each(rows)('%s', async (_, accepting, settings, request, reason) => {
    for (const library of accepting)
      expect([library, await statusOf(library, settings, request)]).toEqual([library, 200])
    expect(await ours(request)).toBe(reason)
  })

  it('says which typ jwk accepts', async () => {
    expect(guide).toContain('By default `jwk` accepts `typ: "JWT"` and tokens without `typ`.')
    const statuses = ['JWT', undefined, 'at+jwt'].map((typ) =>
      statusOf('jwk', {}, bearer({ header: { typ } })),
    )
    expect(await Promise.all(statuses)).toEqual([200, 200, 401])
    expect(await ours(bearer({ header: { typ: 'at+jwt' } }))).toBe('allow')
  })

  it.each<[library: string, sections: string, options: readonly string[]]>([
    [
      'express-oauth2-jwt-bearer',
      'express-oauth2-jwt-bearer',
      [
        ...optionsIn('express-oauth2-jwt-bearer/dist/index.d.ts', 'interface JwtVerifierOptions {', '\n}'),
        ...['authRequired', 'dpop', 'mtls'],
      ],
    ],
    ['express-jwt', 'express-jwt', [...optionsIn('express-jwt/dist/index.d.ts', 'type Params = {', '\n}')]],
    [
      'jsonwebtoken, which takes the other options of express-jwt',
      'express-jwt',
      optionsIn('@types/jsonwebtoken/index.d.ts', 'interface VerifyOptions {', '\n}'),
    ],
    [
      'koa-jwt',
      'express-jwt, koa-jwt',
      optionsIn('koa-jwt/types/index.d.ts', 'interface Options {', '\n    }'),
    ],
    [
      'jwk',
      "Hono's `jwk`",
      [
        ...optionsIn('hono/dist/types/middleware/jwk/jwk.d.ts', 'const jwk: (options: {', '\n}, init'),
        ...optionsIn('hono/dist/types/utils/jwt/jwt.d.ts', 'type VerifyOptions = {', '\n}'),
        'init',
      ],
    ],
    [
      'passport-jwt',
      'passport-jwt',
      [
        ...optionsIn('passport-jwt/lib/strategy.js', '@param options', '@param verify'),
        'jsonWebTokenOptions',
      ],
    ],
  ])('names every option of %s', (_, sections, options) => {
    const text = sections.split(', ').map((heading) => guide.split(`## ${heading}\n`)[1]?.split('\n## ')[0])
    expect(options.length).toBeGreaterThan(6)
    for (const name of options) expect([name, text.join('\n')]).toEqual([name, mentioning(name)])
  })

  it('names no key that a policy does not have', () => {
    const keys = [...guide.matchAll(/`((?:issuer|token|proof|read)\.[A-Za-z.]+)`/g)].map(
      ([, key]) => key as string,
    )
    expect(keys.length).toBeGreaterThan(20)
    for (const key of keys) expect([key, isKeyOfPolicy(key)]).toEqual([key, true])
  })
})

/** The names of the members of a type, or of the options in a comment, between two texts of a file. */
function optionsIn(file: string, from: string, to: string): string[] {
  const text = readFileSync(new URL(`../../../node_modules/${file}`, import.meta.url), 'utf8')
  const body = text.split(from)[1]?.split(to)[0] ?? ''
  const members = [...body.matchAll(/^([ *]+)(\w+)\??[:(]/gm)].map(([, indent, name]) => ({ indent, name }))
  return members.filter(({ indent }) => indent === members[0]?.indent).map(({ name }) => name as string)
}

function mentioning(name: string): unknown {
  return expect.stringMatching(new RegExp(`\`[\\w.]*\\b${name}\\b`))
}

/** Whether the schema of policies has this key. */
function isKeyOfPolicy(key: string): boolean {
  const path = key.startsWith('read.') ? `issuer.${key}` : key
  let schema: unknown = policySchema
  for (const name of path.split('.')) {
    const { properties, anyOf = [] } = Object(schema)
    const variants: unknown[] = [{ properties }, ...anyOf]
    schema = variants.map((variant) => Object(Object(variant).properties)[name]).find(Boolean)
  }
  return schema !== undefined
}
