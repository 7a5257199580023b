import { generateProof } from 'dpop'
import { type CryptoKey, calculateJwkThumbprint, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose'
import type { Policy } from '../../../src/index.js'
import { algorithmNames } from '../../../src/protocol/algorithms.js'

/** Sends a request to the app under test. */
export type Send = (request: Request) => Promise<Response>

export interface CheckResult {
  readonly name: string
  readonly expected: string
  readonly found: string
}

/** The policies of the app: `x-app: nonce` selects the second one, which requires nonces. */
export interface CheckPolicies {
  readonly plain: Policy
  readonly nonce: Policy
}

export interface Checks {
  readonly policies: CheckPolicies
  /** Every check with what the app has answered: a status, and the code of a denial. */
  run(send: Send): Promise<CheckResult[]>
}

const issuer = 'https://as.test'
const api = 'https://orders.test'
interface Pair {
  readonly alg: string
  readonly privateKey: CryptoKey
  readonly publicKey: CryptoKey
  readonly jwk: JWK
}

async function generate(alg: string): Promise<Pair> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
  return { alg, privateKey, publicKey, jwk: await exportJWK(publicKey) }
}

/** Forty requests and more, by clients that share no code with ajwt: `jose` and `dpop`. */
export async function createChecks(): Promise<Checks> {
  const issuerKeys = await Promise.all(algorithmNames.map(generate))
  const [agent, thief, second] = await Promise.all([generate('ES256'), generate('ES256'), generate('ES256')])
  const thumbprint = await calculateJwkThumbprint(agent.jwk)
  const [es256] = issuerKeys as [Pair]
  const keys = issuerKeys.map(({ jwk, alg }) => ({ ...jwk, kid: alg, alg, use: 'sig' }))
  const plain: Policy = {
    issuer: { url: issuer, jwks: { keys }, profile: 'oauth' },
    audience: api,
    token: { algorithms: [...algorithmNames] },
    proof: { algorithms: [...algorithmNames] },
    routes: {
      'GET /orders/:id': { scope: 'orders:read' },
      'POST /orders': { scope: 'orders:write' },
      'GET /once': { scope: 'orders:read', once: true },
      'GET /health': 'public',
    },
  }

  async function token(
    key: Pair,
    claims: Record<string, unknown> = {},
    header: object = {},
  ): Promise<string> {
    const now = Math.floor(Date.now() / 1000)
    const honest = {
      iss: issuer,
      aud: api,
      sub: 'agent-7',
      client_id: 'agent-7',
      scope: 'orders:read',
      iat: now,
      exp: now + 300,
      jti: crypto.randomUUID(),
      cnf: { jkt: thumbprint },
    }
    return new SignJWT({ ...honest, ...claims })
      .setProtectedHeader({ alg: key.alg, kid: key.alg, typ: 'at+jwt', ...header })
      .sign(key.privateKey)
  }

  async function proof(
    accessToken: string,
    claims: Record<string, unknown> = {},
    key: Pair = agent,
  ): Promise<string> {
    const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(accessToken))
    const honest = {
      htm: 'GET',
      htu: `${api}/orders/1`,
      iat: Math.floor(Date.now() / 1000),
      jti: crypto.randomUUID(),
      ath: Buffer.from(hash).toString('base64url'),
    }
    return new SignJWT({ ...honest, ...claims })
      .setProtectedHeader({ alg: key.alg, typ: 'dpop+jwt', jwk: key.jwk })
      .sign(key.privateKey)
  }

  function request(
    accessToken: string | undefined,
    dpop: string | undefined,
    path = '/orders/1',
    more: RequestInit & { app?: string } = {},
  ): Request {
    const headers = new Headers()
    if (accessToken !== undefined) headers.set('authorization', `DPoP ${accessToken}`)
    if (dpop !== undefined) headers.set('dpop', dpop)
    if (more.app !== undefined) headers.set('x-app', more.app)
    return new Request(api + path, { method: more.method ?? 'GET', headers })
  }

  const honest = async (more: RequestInit & { app?: string } = {}) => {
    const text = await token(es256)
    return request(text, await proof(text), '/orders/1', more)
  }

  async function run(send: Send): Promise<CheckResult[]> {
    const results: CheckResult[] = []
    const answerTo = async (sent: Request) => {
      const response = await send(sent)
      const body = await response.text()
      const code = /"code":"(\w+)"/.exec(body)?.[1]
      return { text: code === undefined ? `${response.status}` : `${response.status} ${code}`, response }
    }
    const check = async (name: string, expected: string, sent: Request | Promise<Request>) => {
      const { text: found, response } = await answerTo(await sent)
      results.push({ name, expected, found })
      return response
    }
    const withToken = async (text: string, claims = {}, path?: string, more = {}) =>
      request(text, await proof(text, claims), path, more)

    for (const key of issuerKeys) {
      const good = await token(key)
      await check(`a token with ${key.alg}`, '200', withToken(good))
      const [head, payload, signature = ''] = good.split('.')
      const bytes = Buffer.from(signature, 'base64url')
      bytes[3] = (bytes[3] as number) ^ 1
      const forged = `${head}.${payload}.${bytes.toString('base64url')}`
      await check(`a forged token with ${key.alg}`, '401 signature_invalid', withToken(forged))
    }
    for (const alg of ['ES256', 'Ed25519', 'RS256', 'PS256'] as const) {
      const pair = await generate(alg)
      const text = await token(es256, { cnf: { jkt: await calculateJwkThumbprint(pair.jwk) } })
      await check(
        `a proof by jose, ${alg}`,
        '200',
        proof(text, {}, pair).then((dpop) => request(text, dpop)),
      )
      const byDpop = await generateProof(pair, `${api}/orders/1`, 'GET', undefined, text)
      await check(`a proof by dpop, ${alg}`, '200', request(text, byDpop))
    }

    const text = await token(es256)
    const replayed = await withToken(text)
    await check('a first request', '200', replayed.clone())
    await check('its replay', '401 proof_replayed', replayed)
    await check('no credentials', '401 credentials_missing', request(undefined, undefined))
    await check('no proof', '401 proof_missing', request(text, undefined))
    await check(
      'a proof by a thief',
      '401 proof_key_mismatch',
      proof(text, {}, thief).then((dpop) => request(text, dpop)),
    )
    await check('a proof for another method', '401 proof_method_mismatch', withToken(text, { htm: 'POST' }))
    await check(
      'a proof for another URL',
      '401 proof_uri_mismatch',
      withToken(text, { htu: `${api}/orders/2` }),
    )
    await check(
      'a proof for another token',
      '401 proof_token_mismatch',
      withToken(text, { ath: 'x'.repeat(43) }),
    )
    await check(
      'an old proof',
      '401 proof_stale',
      withToken(text, { iat: Math.floor(Date.now() / 1000) - 3600 }),
    )
    await check(
      'an expired token',
      '401 token_expired',
      withToken(
        await token(es256, {
          exp: Math.floor(Date.now() / 1000) - 100,
          iat: Math.floor(Date.now() / 1000) - 200,
        }),
      ),
    )
    await check(
      'another audience',
      '401 audience_mismatch',
      withToken(await token(es256, { aud: 'https://x.test' })),
    )
    await check(
      'another issuer',
      '401 issuer_not_trusted',
      withToken(await token(es256, { iss: 'https://x.test' })),
    )
    await check('an unknown key', '401 key_not_found', withToken(await token(second, {}, { kid: 'x' })))
    await check(
      'the key of another algorithm',
      '401 key_not_found',
      withToken(await token(second, {}, { kid: 'RS256' })),
    )
    await check(
      'alg none',
      '401 algorithm_not_allowed',
      withToken(
        `${Buffer.from('{"alg":"none","typ":"at+jwt"}').toString('base64url')}.${text.split('.')[1]}.`,
      ),
    )
    await check(
      'a scope that is missing',
      '403 scope_insufficient',
      withToken(text, { htm: 'POST', htu: `${api}/orders` }, '/orders', { method: 'POST' }),
    )
    await check(
      'a route that is not declared',
      '403 route_not_declared',
      withToken(text, { htu: `${api}/x` }, '/x'),
    )
    await check('a public route', '200', request(undefined, undefined, '/health'))
    const once = await token(es256)
    await check('a token for one request', '200', withToken(once, { htu: `${api}/once` }, '/once'))
    await check('the same once more', '401 token_reused', withToken(once, { htu: `${api}/once` }, '/once'))

    const same = await honest()
    const all = await Promise.all(Array.from({ length: 20 }, () => answerTo(same.clone())))
    results.push({
      name: 'twenty identical requests at once',
      expected: '1 accepted, 19 replayed',
      found: `${all.filter((one) => one.text === '200').length} accepted, ${all.filter((one) => one.text === '401 proof_replayed').length} replayed`,
    })
    const distinct = await Promise.all(Array.from({ length: 20 }, async () => answerTo(await honest())))
    results.push({
      name: 'twenty different requests at once',
      expected: '20 accepted',
      found: `${distinct.filter((one) => one.text === '200').length} accepted`,
    })

    const asked = await check(
      'no nonce where one is required',
      '401 proof_nonce_required',
      honest({ app: 'nonce' }),
    )
    const nonce = asked.headers.get('dpop-nonce') ?? ''
    await check('with the nonce', '200', withToken(text, { nonce }, undefined, { app: 'nonce' }))
    await check(
      'with another nonce',
      '401 proof_nonce_required',
      withToken(text, { nonce: `${nonce.slice(1)}A` }, undefined, { app: 'nonce' }),
    )
    return results
  }

  return {
    policies: { plain, nonce: { ...plain, proof: { algorithms: [...algorithmNames], nonce: 'required' } } },
    run,
  }
}
