import { readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createVerifier, type Policy, policySchema } from '../../../src/index.js'
import { type BuiltCommand, buildCommand } from '../../support/cli/command.js'

let command: BuiltCommand
beforeAll(() => {
  command = buildCommand()
}, 60_000)
afterAll(() => command.remove())

const head = '"issuer": "https://as.example.com", "audience": "https://orders.example.com"'

async function check(text: string, ...more: string[]) {
  command.write('policy.json', text)
  const { status, stdout, stderr } = await command.run(['check', 'policy.json', ...more])
  return { status, lines: stdout.split('\n').filter((line) => line !== ''), stderr }
}

describe('ajwt check', () => {
  it('finds nothing wrong with a right policy', async () => {
    command.write('policy.json', `{ ${head}, "routes": { "GET /orders/:id": { "scope": "a" } } }`)
    const right = { status: 0, stdout: '', stderr: 'policy.json: no findings\n' }
    expect(await command.spawn(['check', 'policy.json'])).toEqual(right)
    expect(await command.run(['check', 'policy.json'])).toEqual(right)
  })

  it('names every fault with its line and column', async () => {
    const { status, lines } = await check(
      `{\n  ${head},\n  "modus": "observe",\n  "routes": {\n    "GET /orders/:id": { "skope": "a" },\n    "GET x": "public"\n  }\n}`,
    )
    expect(status).toBe(1)
    expect(lines).toEqual([
      expect.stringMatching(/^policy\.json:3:3: modus: is not a key here; keys here: /),
      expect.stringMatching(/^policy\.json:5:26: routes\["GET \/orders\/:id"\]\.skope: is not a key here/),
      expect.stringMatching(/^policy\.json:6:5: routes\["GET x"\]: must be written as "METHOD \/path"/),
    ])
    expect((await check('{ "issuer": 1, }')).lines).toEqual([expect.stringMatching(/^policy\.json:1:16: /)])
  })

  it('names every fault of a policy that is wrong all over, each at its place', async () => {
    const { status, lines } = await check(
      [
        '{',
        '  "issuer": { "url": "https://as.example.com", "like": "keycloack" },',
        '  "audience": "orders",',
        '  "mode": "observ",',
        '  "token": { "maxLifetime": "300", "algorithms": ["HS256"] },',
        '  "proof": { "maxAge": -1, "required": false },',
        '  "delegation": { "maxDepth": 1.5 },',
        '  "workflows": { "refund": { "steps": ["a", "b"] } },',
        '  "scopes": { "a": "b", "b": "a", "c": 1 },',
        '  "routes": {',
        '    "get /a": "public",',
        '    "GET /b/*/c": "public",',
        '    "GET /c": "publik",',
        '    "GET /d/:id": { "intent": { "workflow": "refnd" } },',
        '    "GET /d/:name": "authenticated",',
        '    "POST /e": { "intent": { "workflow": "refund", "step": "c" } },',
        '    "GET /f": { "limit": { "per": "agnt", "max": 0 } },',
        '    "GET /g": { "claims": { "amount": { "max": 5 }, "/x": {} } },',
        '    "GET /h": { "scope": "a b", "once": "yes" }',
        '  }',
        '}',
      ].join('\n'),
    )
    expect(status).toBe(1)
    const places = lines.map((line) => /^policy\.json:(\d+:\d+): /.exec(line)?.[1])
    expect(places).toEqual([
      '1:1', // publicUrl is missing
      '2:56',
      '4:11',
      '5:29',
      '5:51',
      '6:24',
      '7:31',
      '9:20',
      '9:30',
      '9:40',
      '11:5',
      '12:5',
      '13:15',
      '14:45',
      '15:5',
      '16:60',
      '17:35',
      '17:50',
      '18:29',
      '18:59',
      '19:26',
      '19:41',
    ])
  })

  const rule = (text: string) => `"routes": { "GET /orders/:id": ${text} }`
  it.each<[lint: string, text: string, place: string, says: string]>([
    [
      'unreachable-key',
      `${head}, "routes": {\n"GET /.well-known/oauth-protected-resource": "public" }`,
      '2:1',
      'RFC 9728',
    ],
    [
      'unused-workflow',
      `${head}, "workflows": {\n "refund": { "steps": ["a"] } }, ${rule('"authenticated"')}`,
      '2:2',
      'no rule of routes names this workflow',
    ],
    [
      'public-under-protected',
      `${head}, "routes": { "GET /admin/*": { "scope": "a" },\n"GET /admin/help": "public" }`,
      '2:1',
      'lies under "GET /admin/*"',
    ],
    ['shared-store', `${head}, ${rule('{\n"once": true }')}`, '2:1', 'replayStore'],
    [
      'long-lifetime',
      `${head}, "token": {\n"maxLifetime": 301 }, ${rule('"authenticated"')}`,
      '2:1',
      '301 s is more than 300 s',
    ],
    [
      'long-lifetime',
      `"issuer": { "url": "https://as.example.com", "token": {\n"maxLifetime": 3600 } }, "audience": "https://a.example.com", ${rule('"authenticated"')}`,
      '2:1',
      'issuer.token.maxLifetime',
    ],
    [
      'bearer-allowed',
      `"issuer": { "url": "https://as.example.com", "profile": "oauth" }, "audience": "https://a.example.com", "proof": {\n"required": false }, ${rule('"authenticated"')}`,
      '2:1',
      'Bearer is allowed',
    ],
    ['insecure-http', `${head},\n"allowInsecureHttp": true, ${rule('"authenticated"')}`, '2:1', 'every host'],
    ['impossible-name', `${head}, ${rule('{ "agents": [\n"ägent"] }')}`, '2:1', 'printable ASCII'],
    [
      'impossible-name',
      `${head}, ${rule('{ "delegation": { "initiators": [\n"ä"] } }')}`,
      '2:1',
      'printable ASCII',
    ],
    [
      'impossible-name',
      `${head}, "agents": { "a": { "checksums": [\n"sha256:AB"] } }, ${rule('"authenticated"')}`,
      '2:1',
      'no checksum',
    ],
  ])('warns of %s: %s', async (lint, text, place, says) => {
    const { status, lines } = await check(`{ ${text} }`)
    expect(status).toBe(1)
    expect(lines).toEqual([expect.stringMatching(new RegExp(`^policy\\.json:${place}: .*\\[${lint}\\]$`))])
    expect(lines[0]).toContain(says)
    expect(await check(`{ ${text} }`, '--allow', lint)).toMatchObject({ status: 0, lines: [] })
  })

  it('takes no lint for a name under profile oauth, where names are any text', async () => {
    const { status } = await check(
      `{ "issuer": { "url": "https://as.example.com", "profile": "oauth" }, "audience": "https://a.example.com", ${rule('{ "agents": ["ägent"] }')} }`,
    )
    expect(status).toBe(0)
  })

  it('tells what like fills, written keys apart, and that is no finding', async () => {
    const { status, lines } = await check(
      `{ "issuer": { "url": "https://as.example.com",\n"like": "keycloak", "token": { "maxLifetime": 60 } }, "audience": "https://a.example.com", ${rule('"authenticated"')} }`,
    )
    expect(status).toBe(0)
    expect(lines).toEqual([
      expect.stringMatching(
        /^policy\.json:2:1: note: issuer\.like: "keycloak" fills profile "oauth", token\.types \["at\+jwt","JWT"\], claims\.\/typ \{"in":\["Bearer","DPoP"\]\} \(https:/,
      ),
    ])
  })

  it('prints JSON, and reads a module', async () => {
    const { lines } = await check(`{ ${head}, "routes": { "GET /a": { "once": true } } }`, '--json')
    expect(JSON.parse(lines.join('\n'))).toMatchObject([
      { file: 'policy.json', line: 1, lint: 'shared-store' },
    ])
    command.write(
      'policy.mjs',
      `export default { ${head}, routes: { 'GET /a': { scope: 'a', once: true } } }`,
    )
    const { status, stdout } = await command.run(['check', 'policy.mjs'])
    expect([status, stdout]).toEqual([
      1,
      expect.stringMatching(/^policy\.mjs:1:1: routes\["GET \/a"\]\.once: /),
    ])
  })

  it('writes a checked policy as a module', async () => {
    const text = `{ ${head}, "routes": { "GET /a": { "scope": "a" } } }`
    expect((await check(text, '--emit', 'checked.mjs')).status).toBe(0)
    const source = readFileSync(`${command.folder}/checked.mjs`, 'utf8')
    const { stdout } = await command.run(['check', 'policy.json', '--emit'])
    expect(stdout.trim()).toBe(source.trim())
    const index = pathToFileURL(`${command.dist}/src/index.js`).href
    command.write('checked.mjs', source.replaceAll('"ajwt"', JSON.stringify(index)))
    const { default: policy } = await import(/* @vite-ignore */ `${command.folder}/checked.mjs`)
    expect(policy.routes['GET /a']).toEqual({ scope: 'a' })
    expect((await check('{ "routes": {} }', '--emit', 'none.mjs')).status).toBe(1)
    expect(() => readFileSync(`${command.folder}/none.mjs`)).toThrow('ENOENT')
  })

  it('checks and writes rules of handlers', async () => {
    const text = `{ ${head}, "workflows": { "refund": { "steps": ["pay"] } }, "routes": { "GET /a": { "scope": "a" } } }`
    command.write('rules.json', '{\n  "refund": { "scpoe": "refunds" }\n}')
    const refused = await check(text, '--rules', 'rules.json', '--emit', 'none.mjs')
    expect([refused.status, refused.lines]).toEqual([
      1,
      [expect.stringMatching(/^rules\.json:2:15: refund\.scpoe: is not a key here; did you mean "scope"/)],
    ])
    expect(() => readFileSync(`${command.folder}/none.mjs`)).toThrow('ENOENT')
    command.write(
      'rules.mjs',
      `export const rules = { refund: { intent: { workflow: 'refund', step: 'pay' } } }`,
    )
    expect((await check(text, '--rules', 'rules.mjs', '--emit', 'with-rules.mjs')).status).toBe(0)
    const index = pathToFileURL(`${command.dist}/src/index.js`).href
    const source = readFileSync(`${command.folder}/with-rules.mjs`, 'utf8')
    command.write('with-rules.mjs', source.replaceAll('"ajwt"', JSON.stringify(index)))
    const { default: policy, rules } = await import(/* @vite-ignore */ `${command.folder}/with-rules.mjs`)
    expect([policy.workflows, rules.refund.intent]).toEqual([
      { refund: { steps: ['pay'] } },
      { workflow: 'refund', step: 'pay' },
    ])
  })

  it.each([
    [['check', 'policy.json', '--rules', 'none.json'], 'none.json: there is no such file'],
    [['check'], 'check needs a POLICY'],
    [['check', 'none.json'], 'none.json: there is no such file'],
    [['check', 'policy.json', '--allow', 'everything'], 'Allowed choices are'],
    [['check', 'policy.json', '--openapi', 'policy.json'], 'is no OpenAPI document'],
    [['chekc'], "unknown command 'chekc'"],
  ])('refuses %s', async (args, message) => {
    command.write('policy.json', `{ ${head}, "routes": {} }`)
    const { status, stdout, stderr } = await command.run(args)
    expect([status, stdout]).toEqual([2, ''])
    expect(stderr).toContain(message)
  })
})

const openapi = `openapi: 3.1.0
info: { title: Orders, version: '1' }
servers: [{ url: https://api.example.com/v1 }]
security: [{ oauth: [] }]
components:
  securitySchemes:
    oauth: { type: openIdConnect, openIdConnectUrl: https://as.example.com/.well-known/openid-configuration }
paths:
  /health:
    get: { security: [], responses: {} }
  /orders/{order-id}:
    get: { security: [{ oauth: [orders:read] }], responses: {} }
    delete: { responses: {} }
  /orders/{id}/refund:
    post: { security: [{ oauth: [a, b] }], responses: {} }
`

describe('with OpenAPI', () => {
  it('finds operations without a rule, rules without an operation, and secured ones that are public', async () => {
    command.write('openapi.yaml', openapi)
    const routes =
      '{ "GET /health": "public",\n"GET /orders/:id": "public",\n"GET /old": { "scope": "a" },\n"POST /orders/:order/*": { "scope": "b" } }'
    const { status, lines } = await check(`{ ${head}, "routes": ${routes} }`, '--openapi', 'openapi.yaml')
    expect(status).toBe(1)
    expect(lines).toEqual([
      'policy.json:3:1: routes["GET /old"]: no operation of openapi.yaml comes to this key [rule-without-operation]',
      'openapi.yaml:12:5: GET /orders/{order-id}: the operation has security, and "GET /orders/:id" is public [secured-operation-public]',
      'openapi.yaml:13:5: DELETE /orders/{order-id}: no key of routes is for this operation, so that it is denied [operation-without-rule]',
    ])
  })

  it('reads JSON as well, and finds keys that have the prefix of the server', async () => {
    const api = {
      openapi: '3.0.0',
      servers: [{ url: '/v1' }],
      paths: { '/a': { get: {} }, '/b': { get: {} } },
    }
    command.write('openapi.json', api)
    const { lines } = await check(
      `{ ${head}, "routes": { "GET /v1/a": "public", "GET /v1/b": "authenticated" } }`,
      '--openapi',
      'openapi.json',
    )
    expect(lines).toEqual([])
  })

  it('writes a first policy, which is right', async () => {
    const file = command.write('openapi.yaml', openapi)
    const { status, stdout, stderr } = await command.run(['check', '--from-openapi', file])
    expect([status, stderr]).toEqual([0, ''])
    const policy = JSON.parse(stdout) as Policy
    expect(policy).toEqual({
      issuer: 'https://as.example.com',
      audience: 'https://api.example.com/v1',
      publicUrl: 'https://api.example.com/v1',
      routes: {
        'GET /health': 'public',
        'GET /orders/:order_id': { scope: 'orders:read' },
        'DELETE /orders/:order_id': 'authenticated',
        'POST /orders/:id/refund': { scope: ['a', 'b'] },
      },
    })
    createVerifier(policy).close()
    command.write('first.json', stdout)
    expect((await command.run(['check', 'first.json', '--openapi', 'openapi.yaml'])).status).toBe(0)
  })
})

describe('ajwt checksum and schema', () => {
  it('print what the library has', async () => {
    const agent = { id: 'agent-7', prompt: 'Sell.', tools: [], config: { model: 'm' } }
    const { agentChecksum } = await import('../../../src/agent/index.js')
    command.write('agent.json', agent)
    const { stdout } = await command.run(['checksum', 'agent.json'])
    expect(stdout.trim()).toBe(await agentChecksum(agent))
    const piped = await command.spawn(['checksum', '-'], { input: JSON.stringify(agent) })
    expect(piped.stdout).toBe(stdout)
    const wrong = await command.run(['checksum', command.write('wrong.json', { ...agent, id: '' })])
    expect([wrong.status, wrong.stderr]).toEqual([2, expect.stringContaining('id')])
    expect(JSON.parse((await command.run(['schema'])).stdout)).toEqual(
      JSON.parse(JSON.stringify(policySchema)),
    )
  })

  it('have help in 80 columns', async () => {
    for (const args of [
      ['--help'],
      ['check', '--help'],
      ['explain', '--help'],
      ['curl', '--help'],
      ['diff', '--help'],
    ]) {
      const { status, stdout } = await command.run(args)
      expect(status).toBe(0)
      expect(stdout.split('\n').filter((line) => line.length > 80)).toEqual([])
    }
    expect(await command.spawn(['--help'], { env: { COLUMNS: '80' } })).toEqual(await command.run(['--help']))
    expect((await command.run(['--version'])).stdout.trim()).toBe(
      JSON.parse(readFileSync('package.json', 'utf8')).version,
    )
  })
})
