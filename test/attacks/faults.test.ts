import { connect } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterEach, describe, expect, it } from 'vitest'
import { frameworks } from '../../fixtures/frameworks.js'
import { AUDIENCE, createKit, ISSUER, issuerJwks } from '../../fixtures/kit.js'
import { createVerifier, type Policy } from '../../src/index.js'
import { outcomeOf } from '../support/verify.js'

const policy: Policy = {
  issuer: { url: ISSUER, jwks: issuerJwks() },
  audience: AUDIENCE,
  routes: { 'GET /orders/:id': { scope: 'orders:read' } },
}

/** `npm run test:soak` sends a million. */
const junkTokens = Number(process.env.JUNK_TOKENS ?? 100_000)

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** Bytes that are in use once what is not is gone. */
function heap(): number {
  collect()
  return process.memoryUsage().heapUsed
}

const inMegabytes = (bytes: number) => Math.round(bytes / 1024 / 102.4) / 10

describe('under fire', () => {
  it('fetches the keys of an issuer four times a cool-down for 100,000 made-up kids, and keeps none of them', {
    timeout: 300_000,
  }, async () => {
    let fetches = 0
    const verifier = createVerifier(
      { ...policy, issuer: { url: ISSUER, jwksUri: `${ISSUER}/jwks` } },
      {
        now: () => kit.now,
        fetch: async () => {
          fetches++
          return Response.json(issuerJwks())
        },
      },
    )
    const kit = createKit()
    const [, claims, signature] = kit.token().split('.')
    const send = async (kid: string) => {
      const header = Buffer.from(JSON.stringify({ typ: 'at+jwt', alg: 'ES256', kid })).toString('base64url')
      const headers = { authorization: `DPoP ${header}.${claims}.${signature}` }
      return verifier.verify({ method: 'GET', url: '/orders/42', headers })
    }
    for (let index = 0; index < 1000; index++) await send(`warm-${index}`)
    const before = heap()
    const startedAt = performance.now()
    const codes = new Set<string>()
    for (let index = 0; index < 100_000; index++) codes.add(outcomeOf(await send(`junk-${index}`)))
    expect([...codes].filter((code) => code !== 'keys_unavailable' && code !== 'key_not_found')).toEqual([])
    const grown = heap() - before
    console.log(`100,000 junk kids: ${fetches} fetches, heap ${inMegabytes(grown)} MB more`)
    // One for the first request, and four for each cool-down of 30 s.
    expect(fetches).toBeLessThanOrEqual(5 + 4 * Math.ceil((performance.now() - startedAt) / 30_000))
    expect(grown).toBeLessThan(8 * 1024 * 1024)
  })

  it(`takes no more memory for ${junkTokens} junk tokens`, { timeout: 600_000 }, async () => {
    const verifier = createVerifier(policy)
    const honest = createKit(Date.now()).token()
    const at = honest.lastIndexOf('.')
    const junk = [
      (index: number) => `junk${index}`,
      (index: number) => `${index}.${index}.${index}`,
      (index: number) => `${honest.slice(0, 200)}${index}`,
      (index: number) => `${honest.slice(0, at)}.${index}`,
    ]
    const send = (index: number) => {
      const token = (junk[index % junk.length] as (index: number) => string)(index)
      return verifier.verify({
        method: 'GET',
        url: '/orders/42',
        headers: { authorization: `DPoP ${token}` },
      })
    }
    for (let index = 0; index < 10_000; index++) await send(index)
    // Eight bytes a token, which is far less than anything that would be kept of one.
    const most = 8.4 * junkTokens
    let grown = Number.POSITIVE_INFINITY
    // A leak grows with each round. Compiled code grows once.
    for (let round = 0; round < 3 && grown >= most; round++) {
      const before = heap()
      let refused = 0
      for (let index = 0; index < junkTokens; index++) {
        const { outcome } = await send((round + 1) * junkTokens + index)
        if (outcome === 'deny') refused++
      }
      grown = heap() - before
      console.log(`${junkTokens} junk tokens: heap ${inMegabytes(grown)} MB more`)
      expect(refused).toBe(junkTokens)
    }
    expect(grown).toBeLessThan(most)
  })

  it.each([3600, -3600])('lets no proof in twice when the clock jumps by %d s and back', async (jump) => {
    const kit = createKit()
    const verifier = createVerifier(policy, { now: () => kit.now })
    const call = kit.call()
    const send = () => verifier.verify({ ...call, headers: Object.fromEntries(call.headers) })
    expect((await send()).outcome).toBe('allow')
    kit.advance(jump)
    expect((await send()).outcome).toBe('deny')
    kit.advance(-jump)
    expect(await send()).toMatchObject({ code: 'proof_replayed' })
  })
})

describe.each(Object.entries(frameworks))('sockets that are cut, on %s', (_, start) => {
  const closing: (() => Promise<void>)[] = []
  afterEach(async () => {
    for (const close of closing.splice(0)) await close()
  })

  it('leave the app as it was, and run no handler that was not asked for', async () => {
    const failures: unknown[] = []
    const note = (reason: unknown) => failures.push(reason)
    process.on('unhandledRejection', note)
    const app = await start({ policies: [policy], routes: [{ method: 'get', path: '/orders/:id' }] })
    closing.push(app.close)
    const port = Number(new URL(app.origin).port)
    const kit = createKit(Date.now())
    for (let index = 0; index < 100; index++) {
      const { headers } = kit.call()
      const whole = `GET /orders/42 HTTP/1.1\r\nhost: x\r\n${headers.map(([name, value]) => `${name}: ${value}`).join('\r\n')}\r\n\r\n`
      // Cut anywhere: within the line, a header field, or right behind the request.
      const part = whole.slice(0, Math.floor((whole.length * (index % 20)) / 20))
      await new Promise<void>((resolve) => {
        const socket = connect(port, '127.0.0.1', () => {
          socket.write(part, () => socket.resetAndDestroy())
        })
        socket.on('close', () => resolve())
        socket.on('error', () => {})
      })
    }
    expect(app.runs()).toBe(0)
    const { headers } = kit.call()
    const answer = await fetch(`${app.origin}/orders/42`, { headers: Object.fromEntries(headers) })
    expect(answer.status).toBe(200)
    process.off('unhandledRejection', note)
    expect(failures).toEqual([])
  })
})
