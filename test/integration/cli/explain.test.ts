import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { AUDIENCE, createKit, ISSUER, issuerJwks, type WireRequest } from '../../../fixtures/kit.js'
import type { Explanation, Policy } from '../../../src/index.js'
import { redisRevocations } from '../../../src/stores/redis/index.js'
import { type BuiltCommand, buildCommand } from '../../support/cli/command.js'
import { connectClient } from '../../support/redis/clients.js'
import { hasRedisServer, startRedis, WITHOUT_REDIS } from '../../support/redis/server.js'

let command: BuiltCommand
let base: string[]
beforeAll(() => {
  command = buildCommand()
  base = ['explain', '--policy', command.write('policy.json', policy)]
  command.write('jwks.json', issuerJwks())
}, 60_000)
afterAll(() => command.remove())

const policy: Policy = {
  issuer: { url: ISSUER, jwks: issuerJwks() as { keys: Record<string, unknown>[] } },
  audience: AUDIENCE,
  routes: {
    'GET /health': 'public',
    'GET /orders/:id': { scope: 'orders:read' },
    'GET /trial': { scope: 'x', mode: 'observe' },
  },
}

const kit = createKit()
const at = ['--at', new Date(kit.now).toISOString()]
const credentials = ({ headers }: WireRequest) => {
  const of = (wanted: string) => headers.find(([name]) => name.toLowerCase() === wanted)?.[1] ?? ''
  return { token: of('authorization').split(' ')[1] ?? '', proof: of('dpop') }
}
const har = (...calls: [WireRequest, number][]) => ({
  log: {
    entries: calls.map(([{ method, url, headers }, status]) => ({
      startedDateTime: new Date(kit.now).toISOString(),
      request: {
        method,
        url: AUDIENCE + url,
        headers: [[':authority', 'orders.example.com'], ...headers].map(([name, value]) => ({ name, value })),
      },
      response: { status },
    })),
  },
})

describe('ajwt explain', () => {
  it('takes a request from flags', async () => {
    const { token, proof } = credentials(kit.call())
    const flags = ['--method', 'get', '--url', '/orders/42', '--token', token, '--proof', proof]
    const { status, stdout, stderr } = await command.spawn([...base, ...flags, ...at])
    expect([status, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(/^ALLOWED\n/)
    expect(stdout).toMatch(/\nkey +GET \/orders\/:id\n/)
    expect(stdout).toMatch(/\? {6}replay +not checked here: jti /)
  })

  it('says what is missing where there is a token alone', async () => {
    const { token } = credentials(kit.call())
    const { status, stdout } = await command.run([...base, '--url', '/orders/42', '--token', token, ...at])
    expect([status, stdout.split('\n', 1)[0]]).toEqual([1, 'DENIED 401 proof_missing'])
    const bearer = await command.run([...base, '--url', '/orders/42', '--token', `Bearer ${token}`, ...at])
    expect(bearer.stdout.split('\n', 1)[0]).toBe('DENIED 401 proof_required')
  })

  it('takes the refused request of a HAR file, and its time, or the one that is asked for', async () => {
    const bad = kit.call({ token: { claims: { scope: 'none' } } })
    const file = command.write('session.har', har([kit.call(), 200], [bad, 403]))
    const refused = await command.run([...base, '--har', file])
    expect([refused.status, refused.stdout.split('\n', 1)[0]]).toEqual([1, 'DENIED 403 scope_insufficient'])
    const first = await command.run([...base, '--har', file, '--entry', '1'])
    expect([first.status, first.stdout.split('\n', 1)[0]]).toEqual([0, 'ALLOWED'])
    const entry = command.write('entry.har', har([bad, 403]).log.entries[0])
    expect((await command.run([...base, '--har', entry])).status).toBe(1)
  })

  it('takes the request of a captured span', async () => {
    const { method, url, headers } = kit.call({ token: { claims: { scope: 'none' } } })
    const text = (stringValue: string) => ({ stringValue })
    const span = {
      name: 'GET /orders/:id',
      startTimeUnixNano: `${kit.now}000000`,
      attributes: [
        { key: 'http.request.method', value: text(method) },
        { key: 'url.path', value: text(url) },
        ...headers.map(([name, value]) => ({
          key: `http.request.header.${name.toLowerCase()}`,
          value: { arrayValue: { values: [text(value)] } },
        })),
      ],
    }
    const whole = { resourceSpans: [{ scopeSpans: [{ spans: [span] }] }] }
    for (const content of [whole, span, `${JSON.stringify(whole)}\n${JSON.stringify(whole)}\n`]) {
      const { status, stdout } = await command.run([...base, '--otlp', command.write('spans.json', content)])
      expect([status, stdout.split('\n', 1)[0]]).toEqual([1, 'DENIED 403 scope_insufficient'])
    }
    const denial = { name: 'ajwt.verify', attributes: [{ key: 'ajwt.code', value: text('token_expired') }] }
    const without = await command.run([
      ...base,
      '--otlp',
      command.write('denial.json', { resourceSpans: [denial] }),
    ])
    expect([without.status, without.stdout]).toEqual([2, ''])
    expect(without.stderr).toContain('Its span ajwt.verify says token_expired')
    expect(without.stderr).toContain('OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST')
  })

  it('prints JSON that has the decision and every stage, and nothing on standard error', async () => {
    const { token, proof } = credentials(kit.call({ token: { claims: { cnf: undefined } } }))
    const flags = ['--url', '/orders/42', '--token', token, '--proof', proof, '--json']
    const { status, stdout, stderr } = await command.run([...base, ...flags, ...at])
    expect([status, stderr]).toEqual([1, ''])
    const { decision, stages } = JSON.parse(stdout) as Explanation
    expect(decision).toMatchObject({ outcome: 'deny', code: 'claims_invalid', status: 401 })
    expect(stages.map(({ stage }) => stage)).toEqual([
      'request',
      'token',
      'revocation',
      'proof',
      'delegation',
      'rule',
    ])
    const observed = await command.spawn([...base, '--url', '/trial', '--json'])
    expect([observed.status, observed.stderr]).toEqual([1, ''])
    expect(JSON.parse(observed.stdout)).toMatchObject({ decision: { outcome: 'observe' } })
  })

  it('never prints a token, a signature or a key, not those in a grant either', async () => {
    const jwk = kit.call().headers.length > 0 ? issuerJwks() : undefined
    const call = kit.call({ token: { claims: { inner: kit.token(), keys: jwk } } })
    const { token, proof } = credentials(call)
    for (const more of [[], ['--json']]) {
      const flags = ['--url', '/orders/42', '--token', token, '--proof', proof, ...more]
      const { status, stdout } = await command.run([...base, ...flags, ...at])
      expect(status).toBe(0)
      const parts = `${token}.${proof}`.split('.')
      expect(parts.filter((part) => stdout.includes(part))).toEqual([])
      expect(stdout).not.toMatch(/eyJ|"kty"/)
    }
  })

  it('takes a policy with the hook authorize, and does not ask it', async () => {
    const routes = { 'GET /orders/:id': { scope: 'orders:read', authorize: true } }
    const file = command.write('hook.json', { ...policy, routes })
    const { token, proof } = credentials(kit.call())
    const flags = ['--url', '/orders/42', '--token', token, '--proof', proof, ...at]
    const { status, stdout } = await command.run(['explain', '--policy', file, ...flags])
    expect([status, stdout]).toEqual([0, expect.stringMatching(/\? {6}authorize +not checked here/)])
    expect((await command.run(['diff', file, file])).status).toBe(0)
  })

  it('is told of public routes, and of requests without credentials', async () => {
    const open = await command.run([...base, '--url', '/health'])
    expect([open.status, open.stdout.split('\n', 1)[0]]).toEqual([0, 'PUBLIC: allowed without any check'])
    const missing = await command.run([...base, '--url', '/orders/42'])
    expect([missing.status, missing.stdout.split('\n', 1)[0]]).toEqual([1, 'DENIED 401 credentials_missing'])
  })

  it('reads paths as the framework that is named', async () => {
    const { token } = credentials(kit.call())
    const request = [
      '--url',
      '/Orders/42',
      '--token',
      token,
      '--proof',
      kit.proof({ htu: `${AUDIENCE}/Orders/42`, token }),
    ]
    expect((await command.run([...base, ...request, ...at])).stdout).toContain('route_not_declared')
    expect((await command.run([...base, ...request, ...at, '--framework', 'express'])).status).toBe(0)
  })

  it.each([
    [['--url', '/orders/42', '--at', 'yesterday'], 'RFC 3339'],
    [['--url', '/orders/42', '--curl', 'curl x'], 'give one of them'],
    [[], 'explain needs a request'],
    [['--curl', 'wget x'], '--curl takes a whole command'],
    [['--curl', 'curl -H "Authorization: DPoP $TOKEN" https://x'], "the shell's $TOKEN"],
    [['--har', 'none.har'], 'there is no such file'],
    [['--har', 'policy.json'], 'is no HAR file'],
    [['--url', '/x', '--jwks', 'policy.json'], 'holds no JWK Set'],
    [['--url', '/x', '--framework', 'rails'], 'Allowed choices are express, koa, hono'],
    [['--url', '/x', '--unknown'], "unknown option '--unknown'"],
  ])('refuses what it cannot carry out: %s', async (flags, message) => {
    const plain = await command.run([...base, ...flags])
    expect([plain.status, plain.stdout]).toEqual([2, ''])
    expect(plain.stderr).toContain(message)
    const json = await command.run([...base, ...flags, '--json'])
    expect([json.status, json.stderr]).toEqual([2, ''])
    expect(JSON.parse(json.stdout).error).toContain(message)
  })
})

describe('in a terminal', () => {
  const { token, proof } = credentials(
    kit.call({ token: { claims: { aud: 'https://billing.example.com' } } }),
  )
  const args = () => [...base, '--url', '/orders/42', '--token', token, '--proof', proof, ...at]
  const color = new RegExp(`${String.fromCharCode(27)}\\[\\d+m`, 'g')

  /** In a pseudo terminal of 80 columns. */
  function inTerminal(env: NodeJS.ProcessEnv): Promise<string> {
    const quoted = [process.execPath, command.main, ...args()].map((word) => `'${word}'`).join(' ')
    const { NO_COLOR: _, FORCE_COLOR: __, ...inherited } = process.env
    const child = spawn('script', ['-qec', `stty cols 80; ${quoted}`, '/dev/null'], {
      env: { ...inherited, TERM: 'xterm', ...env },
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    let output = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
    return new Promise((resolve) => child.on('close', () => resolve(output.replaceAll('\r', ''))))
  }

  it('has colours, and no line that is longer than 80 characters', async () => {
    const output = await inTerminal({})
    expect(output).toMatch(color)
    const lines = output.replaceAll(color, '').split('\n')
    expect(lines[0]).toBe('DENIED 401 audience_mismatch')
    expect(lines.length).toBeGreaterThan(30)
    expect(lines.filter((line) => line.length > 80)).toEqual([])
  })

  it('has none where NO_COLOR is set, nor where nobody watches', async () => {
    expect(await inTerminal({ NO_COLOR: '1' })).not.toMatch(color)
    expect((await command.spawn(args())).stdout).not.toMatch(color)
    expect((await command.spawn(args(), { env: { FORCE_COLOR: '1' } })).stdout).toMatch(color)
  })
})

describe.runIf(hasRedisServer)(`with the Redis of a fleet${WITHOUT_REDIS}`, () => {
  // The project of a user has the client.
  const hasClient = createRequire(import.meta.url).resolve('redis') !== ''

  it('names a revoked delegator, a read-only replica, and writes nothing', async () => {
    expect(hasClient).toBe(true)
    const primary = await startRedis()
    const replica = await startRedis({ args: ['--replicaof', '127.0.0.1', String(primary.port)] })
    const { client, close } = await connectClient('redis', primary.port)
    const revocations = redisRevocations(client)
    const { token, proof } = credentials(kit.call())
    const flags = ['--url', '/orders/42', '--token', token, '--proof', proof, ...at]
    const explain = (port: number) =>
      command.spawn([...base, ...flags, '--redis', `redis://127.0.0.1:${port}`])
    try {
      const before = await primary.send('DBSIZE')
      expect(await explain(primary.port)).toMatchObject({ status: 0, stderr: '' })
      expect(await primary.send('DBSIZE')).toBe(before)

      const readOnly = await explain(replica.port)
      expect(readOnly.status).toBe(1)
      expect(readOnly.stdout.replaceAll(/\s+/g, ' ')).toContain(
        `Redis is a read-only replica of 127.0.0.1:${primary.port}, so that no proof can be recorded (READONLY): connect the API to the primary`,
      )

      await revocations.revoke(`agent:${ISSUER} agent-7`, Date.now() / 1000 + 60)
      const revoked = await explain(primary.port)
      expect([revoked.status, revoked.stdout.split('\n', 1)[0]]).toEqual([1, 'DENIED 401 token_revoked'])
      expect(revoked.stdout).toContain(`agent:${ISSUER} agent-7`)
    } finally {
      await revocations.close()
      close()
      await replica.stop()
      await primary.stop()
    }
    const gone = await explain(primary.port)
    expect([gone.status, gone.stderr]).toEqual([2, expect.stringContaining('--redis: no connection')])
  }, 60_000)
})
