import { spawnSync } from 'node:child_process'
import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node'
import pino from 'pino'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { rows } from '../../fixtures/conformance/index.js'
import { defaultPolicy } from '../../fixtures/conformance/policy.js'
import { stepsOf } from '../../fixtures/conformance/row.js'
import { setupOf } from '../../fixtures/conformance/run.js'
import { createKit, type Kit, type WireRequest } from '../../fixtures/kit.js'
import { createVerifier, PolicyError, type VerifierOptions } from '../../src/index.js'
import { shareByPolicy } from '../support/conformance/shared.js'

const kit = createKit()
const toRequest = ({ method, url, headers }: WireRequest) => ({
  method,
  url,
  headers: Object.fromEntries(headers),
})
const verifierWith = (options: VerifierOptions) =>
  createVerifier(defaultPolicy(), { now: () => kit.now, ...options })
const denied = () =>
  toRequest(kit.call({ path: '/admin/1', token: { claims: { scope: 'orders:read', sub: 'agent-7' } } }))

afterEach(() => vi.restoreAllMocks())

describe('the option log', () => {
  it('gets one line for each denial from console, and none for others', async () => {
    const written = vi.spyOn(console, 'warn').mockImplementation(() => {})
    const verifier = verifierWith({ log: console, onDecision: () => {} })
    await verifier.verify(toRequest(kit.call()))
    await verifier.verify({ method: 'GET', url: '/health', headers: {} })
    expect(written.mock.calls).toEqual([])
    await verifier.verify(denied())
    await verifier.verify({ method: 'GET', url: '/trial', headers: {} })
    expect(written.mock.calls).toEqual([
      [
        'ajwt deny 403 scope_insufficient stage=rule agent="agent-7" route="GET /admin/:id" workflow="refund"' +
          ' reason="the token does not have the scope admin" issuer="https://as.example.com" claim="scope"' +
          ' expected="admin" found="orders:read"',
      ],
      [
        expect.stringMatching(
          /^ajwt observe 401 credentials_missing stage=request route="GET \/trial" reason=/,
        ),
      ],
    ])
  })

  it('gets fields and the same text from pino, with the trace id', async () => {
    const lines: string[] = []
    const log = pino({ base: null }, { write: (line) => void lines.push(line) })
    const exporter = new InMemorySpanExporter()
    const tracerProvider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
    await verifierWith({ log, tracerProvider }).verify(denied())
    expect(lines.length).toBe(1)
    const [span] = exporter.getFinishedSpans()
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      level: 40,
      code: 'scope_insufficient',
      stage: 'rule',
      agent: 'agent-7',
      route: '/admin/:id',
      traceId: span?.spanContext().traceId,
      cause: { expected: 'admin', found: 'orders:read' },
      msg: expect.stringContaining(`trace="${span?.spanContext().traceId}"`),
    })
  })

  it('marks what no signature vouches for', async () => {
    const lines: string[] = []
    const log = { warn: (line: unknown) => void lines.push(String(line)) }
    await verifierWith({ log }).verify(
      toRequest(kit.call({ token: { claims: { iss: 'https://evil\n"x".example' } } })),
    )
    expect(lines).toEqual([expect.stringContaining('found_unverified="https://evil\ufffd\\"x\\".example"')])
  })

  it('gives a reason for a denial that has one cause only', async () => {
    const lines: string[] = []
    const log = { warn: (line: unknown) => void lines.push(String(line)) }
    const verifier = verifierWith({ log })
    const request = toRequest(kit.call())
    await verifier.verify(request)
    await verifier.verify(request)
    expect(lines).toEqual([
      expect.stringMatching(/ proof_replayed stage=proof .* reason="The DPoP proof has already been used\."/),
    ])
  })

  it('holds no verdict up and changes none, whatever the logger does', async () => {
    const rejections: unknown[] = []
    const onRejection = (reason: unknown) => void rejections.push(reason)
    process.on('unhandledRejection', onRejection)
    const warns = [
      () => {
        throw new Error('disk full')
      },
      () => Promise.reject(new Error('disk full')),
      () => new Promise(() => {}),
    ]
    for (const warn of warns)
      expect(await verifierWith({ log: { warn } }).verify(denied())).toMatchObject({
        code: 'scope_insufficient',
      })
    await new Promise((resolve) => setTimeout(resolve, 10))
    process.off('unhandledRejection', onRejection)
    expect(rejections).toEqual([])
  })

  it('has to have a method warn', () => {
    for (const log of [{}, { warn: 1 }, 'console', null])
      expect(() => verifierWith({ log: log as never })).toThrow(PolicyError)
  })

  it('tells no token, proof, signature or key of any row of the table', async () => {
    let lines: string[] = []
    const log = { warn: (...args: unknown[]) => void lines.push(args.join(' ')) }
    let told = 0
    const logging = shareByPolicy((row, own) => {
      const { verifier } = setupOf({ ...row, options: (of: Kit) => ({ ...row.options?.(of), log }) }, own)
      return { verifier, close: () => verifier.close() }
    })
    for (const row of rows.filter(({ now }) => now === undefined))
      await logging.use(row, async ({ verifier, kit: own }) => {
        for (const step of stepsOf(row, own)) {
          own.advance(step.after ?? 0)
          const request = await step.request(own)
          const headers: Record<string, string[]> = {}
          for (const [name, value] of request.headers)
            headers[name.toLowerCase()] = [...(headers[name.toLowerCase()] ?? []), value]
          lines = []
          const decision = await verifier.verify({ method: request.method, url: request.url, headers })
          own.nonce = 'headers' in decision ? decision.headers['dpop-nonce'] : undefined
          expect([row.id, lines.length]).toEqual([row.id, 'code' in decision ? 1 : 0])
          told += lines.length
          const secrets = request.headers.flatMap(([, value]) =>
            value.split(/[ .,]/).filter((part) => part.length > 40),
          )
          const text = lines.join()
          expect([row.id, secrets.filter((secret) => text.includes(secret))]).toEqual([row.id, []])
          expect(text).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
        }
      })
    await logging.close()
    expect(told).toBeGreaterThan(500)
  }, 120_000)
})

describe('NODE_DEBUG', () => {
  const code = `
    import { createVerifier } from ${JSON.stringify(new URL('../../src/index.ts', import.meta.url).href)}
    const policy = { issuer: 'https://as.example.com', audience: 'https://orders.example.com', routes: {} }
    await createVerifier(policy).verify({ method: 'GET', url: '/', headers: {} })`
  const run = (NODE_DEBUG: string | undefined) => {
    const args = ['--import', 'tsx', '--input-type=module', '-e', code]
    const { NODE_DEBUG: _, ...env } = process.env
    return spawnSync(process.execPath, args, {
      env: NODE_DEBUG === undefined ? env : { ...env, NODE_DEBUG },
      encoding: 'utf8',
    }).stderr
  }

  it('writes denials to standard error where it names ajwt, and only there', () => {
    expect(run('http,ajwt')).toMatch(/^AJWT \d+: ajwt deny 401 credentials_missing stage=request .*\n$/m)
    expect(run('http2')).not.toContain('credentials_missing')
    expect(run(undefined)).toBe('')
  })
})
