import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { AUDIENCE, createKit, ISSUER, issuerJwks } from '../../../fixtures/kit.js'
import { type BuiltCommand, buildCommand } from '../../support/cli/command.js'

let command: BuiltCommand
let policy: string
beforeAll(() => {
  command = buildCommand()
  policy = command.write('policy.json', {
    issuer: { url: ISSUER, jwks: issuerJwks() },
    audience: AUDIENCE,
    routes: { 'GET /orders/:id': { scope: 'orders:read' } },
  })
}, 60_000)
afterAll(() => command.remove())

const kit = createKit()
const at = ['--at', new Date(kit.now).toISOString()]

/** A request with a token whose claims hold what should not reach a terminal. */
function flagsOf(path: string, claims: Record<string, unknown> = {}): string[] {
  const { method, headers } = kit.call({ path, token: kit.token({ claims }) })
  const of = (wanted: string) => headers.find(([name]) => name.toLowerCase() === wanted)?.[1] ?? ''
  const token = of('authorization').split(' ')[1] ?? ''
  return ['--method', method, '--url', AUDIENCE + path, '--token', token, '--proof', of('dpop')]
}

describe('input from strangers', () => {
  it.each([[[]], [['--json']]])('explain %j shows no token that is in the path', async (json) => {
    const token = kit.token()
    const flags = flagsOf(`/t/${token}/orders/42`)
    const { stdout } = await command.run(['explain', '--policy', policy, ...flags, ...at, ...json])
    expect(stdout).toContain('matches the path without /t/[JWS]')
    for (const part of token.split('.')) expect(stdout).not.toContain(part)
  })

  it('explain shows no token behind an escape in the path', async () => {
    const token = kit.token()
    const flags = flagsOf(`/t%3D${token}/orders/42`)
    const { stdout } = await command.run(['explain', '--policy', policy, ...flags, ...at])
    for (const part of token.split('.')) expect(stdout).not.toContain(part)
  })

  it('explain --json escapes what a terminal obeys, and shows no token that is a name', async () => {
    const token = kit.token()
    const [header = '', payload = '', signature = ''] = token.split('.')
    const jws = { protected: header, payload, signature }
    const flags = flagsOf('/orders/42', { note: '\u009b31m\u202e\u007f', [token]: 1, jws })
    const { stdout } = await command.run(['explain', '--policy', policy, ...flags, ...at, '--json'])
    expect(JSON.parse(stdout)).toMatchObject({ decision: { outcome: 'allow' } })
    expect(stdout).toContain('\\u009b31m\\u202e\\u007f')
    expect(stdout).not.toMatch(/[\x7f-\x9f\u202e]/)
    for (const part of [header, payload, signature]) expect(stdout).not.toContain(part)
  })

  it.each([[[]], [['--json']]])('a misspelt option shows no token: %j', async (json) => {
    const token = kit.token()
    const args = ['explain', '--policy', policy, '--url', '/x', `--tokne=${token}`, ...json]
    const { status, stdout, stderr } = await command.run(args)
    expect([status, stdout + stderr]).toEqual([2, expect.stringContaining("unknown option '--tokne=[JWS]")])
    for (const part of token.split('.')) expect(stdout + stderr).not.toContain(part)
  })

  it('explain refuses a day that is in no calendar', async () => {
    const { status, stderr } = await command.run([
      'explain',
      '--policy',
      policy,
      ...flagsOf('/orders/42'),
      '--at',
      '2026-02-30T10:00:00Z',
    ])
    expect([status, stderr]).toEqual([2, expect.stringContaining('--at must be a time')])
  })

  it('check prints each finding in one line, and no command for the terminal', async () => {
    const path = '/a\u001b[31m\npolicy.json:1:1: forged'
    const openapi = command.write('o.json', {
      openapi: '3.1.0',
      paths: { [path]: { get: {} }, '/orders/{id}': { get: {} } },
    })
    const { stdout } = await command.run(['check', policy, '--openapi', openapi])
    expect(stdout).toContain('forged')
    expect(stdout).not.toContain('\u001b')
    expect(stdout).not.toMatch(/^policy\.json:1:1/m)
  })

  it('check refuses a document of YAML that grows without bound', async () => {
    const rows = Array.from({ length: 12 }, (_, row) =>
      row === 0
        ? 'a0: &a0 [x]'
        : `a${row}: &a${row} [${Array.from({ length: 9 }, () => `*a${row - 1}`).join(', ')}]`,
    )
    const openapi = command.write('bomb.yaml', `${rows.join('\n')}\npaths: {}\n`)
    const { status, stderr } = await command.run(['check', policy, '--openapi', openapi])
    expect([status, stderr]).toEqual([2, expect.stringContaining('too many YAML aliases')])
  })

  it('curl quotes nothing of a key file that is not JSON, and takes no method that is none', async () => {
    const key = command.write('bad.json', '{"kty": "EC", "crv": "P-256", "d": SECRETSECRET}')
    const broken = await command.run(['curl', '--policy', policy, '--url', '/orders/42', '--key', key])
    expect([broken.status, broken.stderr]).toEqual([2, expect.stringContaining('is not JSON')])
    expect(broken.stderr).not.toContain('SECRET')
    const method = ['--method', 'get; touch x #']
    const odd = await command.run(['curl', '--policy', policy, '--url', '/orders/42', ...method])
    expect([odd.status, odd.stderr]).toEqual([2, expect.stringContaining('must be an HTTP method')])
  })
})
