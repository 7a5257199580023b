import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { createTestIssuer } from '../../../src/testing/index.js'
import { isInstalled, needs } from '../../support/installed.js'
import { type RuntimeServer, startIn } from '../../support/runtimes/servers.js'

/** Short times, in seconds: the tests run past each of them. */
const keys = { maxAge: 1, cooldown: 1, maxStale: 4, timeout: 2 }

const pause = (seconds: number) => new Promise((resolve) => setTimeout(resolve, seconds * 1000))

/** The web server of an issuer, which a test can slow down or break. */
async function startIssuer() {
  const state = { fetches: 0, entries: 0, delay: 0, isBroken: false, isSilent: false }
  let jwks: unknown
  const server: Server = createServer(async (request, response) => {
    if (request.url === '/entry') {
      state.entries += 1
      return state.isSilent ? undefined : response.end('{}')
    }
    state.fetches += 1
    if (state.isSilent) return
    await pause(state.delay)
    if (state.isBroken) response.statusCode = 500
    response.end(JSON.stringify(jwks))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const issuer = createTestIssuer({ issuer: url })
  jwks = issuer.policyIssuer.jwks
  return {
    state,
    url,
    issuer,
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}

describe.runIf(isInstalled('runtimes'))(`keys on workerd${needs('runtimes')}`, () => {
  let remote: Awaited<ReturnType<typeof startIssuer>>
  let worker: RuntimeServer
  beforeAll(async () => {
    remote = await startIssuer()
    worker = await startIn('workerd', 'keys-worker.ts', {
      ISSUER: remote.issuer.issuer,
      ISSUER_URL: remote.url,
      KEYS: JSON.stringify(keys),
    })
  }, 60_000)
  afterEach(() => {
    Object.assign(remote.state, { delay: 0, isBroken: false, isSilent: false })
  })
  afterAll(() => {
    worker.close()
    remote.close()
    // Workerd reports promises of one request that another one awaits, and code that hangs. Once, the store
    // in memory warns.
    const lines = worker
      .errors()
      .split('\n')
      .filter((line) => line !== '')
    expect(lines.filter((line) => !line.includes('AJWT_MEMORY_STORE'))).toEqual([])
  })

  async function call(more: Record<string, string> = {}, signal?: AbortSignal): Promise<number> {
    const headers = remote.issuer.headers({ url: '/orders/17', scope: 'orders:read' })
    const init = { headers: { ...headers, ...more }, ...(signal === undefined ? {} : { signal }) }
    return (await fetch(`http://127.0.0.1:${worker.port}/orders/17`, init)).status
  }

  const callAtOnce = (count: number, more?: Record<string, string>) =>
    Promise.all(Array.from({ length: count }, () => call(more)))

  /** The distinct statuses of so many requests, one after the other, within so many seconds. */
  async function callFor(seconds: number): Promise<number[]> {
    const statuses = new Set<number>()
    for (const end = Date.now() + seconds * 1000; Date.now() < end; await pause(0.1))
      statuses.add(await call())
    return [...statuses]
  }

  test('a hundred requests at once share a fetch that takes long', async () => {
    remote.state.delay = 0.15
    expect(new Set(await callAtOnce(100))).toEqual(new Set([200]))
    // One, unless a busy machine makes it look as if its request was cancelled.
    expect(remote.state.fetches).toBeLessThanOrEqual(10)
  })

  test('keys are fetched again after maxAge, and after maxStale', async () => {
    const before = remote.state.fetches
    expect(await callFor(2.5)).toEqual([200])
    expect(remote.state.fetches - before).toBeGreaterThanOrEqual(2)
    await pause(keys.maxStale + 0.5)
    expect(new Set(await callAtOnce(20))).toEqual(new Set([200]))
  })

  test('a fetch that dies with its request is replaced by that of another one', async () => {
    await pause(keys.maxAge + 0.1)
    remote.state.isSilent = true
    const aborting = new AbortController()
    const cancelled = call({}, aborting.signal).catch(() => 'cancelled')
    await pause(0.2)
    aborting.abort()
    expect(await cancelled).toBe('cancelled')
    remote.state.isSilent = false
    const started = Date.now()
    expect(await call()).toBe(200)
    expect(Date.now() - started).toBeLessThan(keys.timeout * 1000)
    await pause(keys.maxStale + 0.5)
    expect(await callFor(1.5)).toEqual([200])
  })

  test('keys are kept through an outage until maxStale, and are back after it', async () => {
    expect(await call()).toBe(200)
    remote.state.isBroken = true
    expect(await callFor(2)).toEqual([200])
    await pause(keys.maxStale)
    expect(await call()).toBe(503)
    remote.state.isBroken = false
    await pause(keys.cooldown + 0.1)
    expect(await callFor(0.5)).toEqual([200])
  })

  test('resolveIssuer is called by each request for itself where the first one is cancelled', async () => {
    remote.state.isSilent = true
    const aborting = new AbortController()
    const cancelled = call({ 'x-resolve': 'yes' }, aborting.signal).catch(() => 'cancelled')
    await pause(0.2)
    aborting.abort()
    expect(await cancelled).toBe('cancelled')
    remote.state.isSilent = false
    expect(new Set(await callAtOnce(20, { 'x-resolve': 'yes' }))).toEqual(new Set([200]))
    expect(remote.state.entries).toBeLessThanOrEqual(10)
  })
})
