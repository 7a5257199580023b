import { statSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { ajwt } from '../../../middleware/express.js'
import type { Policy } from '../../../src/index.js'
import { knownServers } from '../../../src/policy/known-servers.js'
import { type BuiltCommand, buildCommand } from '../../support/cli/command.js'

let command: BuiltCommand
beforeAll(() => {
  command = buildCommand()
}, 60_000)
afterAll(() => command.remove())

const policy: Policy = {
  issuer: 'https://as.example.com',
  audience: 'https://orders.example.com/v1',
  publicUrl: 'https://orders.example.com/v1',
  workflows: { refund: { steps: ['check', 'issue'] } },
  agents: { 'agent-7': { checksums: [`sha256:${'1'.repeat(64)}`], registrationIds: ['reg-7'] } },
  routes: {
    'GET /health': 'public',
    'GET /orders/:id': { scope: ['orders:read', 'orders:list'] },
    'POST /orders/:id/refund': {
      scope: { any: ['refund', 'admin'] },
      intent: { workflow: 'refund', step: 'issue' },
      agents: ['agent-7'],
      delegation: { required: true, initiators: ['agent-1'] },
      user: { acr: ['gold'], amr: ['hwk'], maxAge: 60 },
      limit: [
        { per: 'run', max: 5 },
        { per: 'intent', max: '/budget' },
      ],
      claims: {
        '/amount': { min: 1, max: 100 },
        '/order': { param: 'id' },
        '/kinds': { includes: ['a', 'b'] },
        '/details': { some: { '/type': { equals: 'refund' } } },
        '/none': { exists: false },
      },
    },
  },
}

const flags = ['--jwks', 'jwks.json', '--policy', 'policy.json']

it('prints a command that explain lets in: for each rule', async () => {
  command.write('policy.json', policy)
  for (const [method, url] of [
    ['GET', '/orders/42'],
    ['GET', 'https://orders.example.com/v1/orders/42?page=2'],
    ['GET', 'http://localhost:3000/orders/42'],
    ['POST', '/orders/42/refund'],
  ] as const) {
    const { status, stdout, stderr } = await command.run(['curl', ...flags, '--method', method, '--url', url])
    expect([status, stderr]).toEqual([
      0,
      expect.stringContaining('test issuer in the name of https://as.example.com'),
    ])
    expect(stdout).toMatch(/^curl -i -X (GET|POST) /)
    const explained = await command.run(['explain', ...flags, '--curl', stdout])
    expect([url, explained.stdout.split('\n', 1)[0]]).toEqual([url, 'ALLOWED'])
  }
  const open = await command.run(['curl', ...flags, '--url', '/health'])
  expect(open.stdout).toBe('curl -i -X GET https://orders.example.com/v1/health\n')
}, 60_000)

it('signs as the flags say', async () => {
  command.write('policy.json', policy)
  const explain = async (...more: string[]) => {
    const { stdout } = await command.run(['curl', ...flags, '--url', '/orders/42', ...more])
    return (await command.run(['explain', ...flags, '--curl', stdout, '--json'])).stdout
  }
  expect(JSON.parse(await explain('--scope', 'other'))).toMatchObject({
    decision: { code: 'scope_insufficient' },
  })
  expect(JSON.parse(await explain('--bearer'))).toMatchObject({ decision: { code: 'claims_invalid' } })
  expect(JSON.parse(await explain('--claims', '{"exp": 1}'))).toMatchObject({ decision: { outcome: 'deny' } })
  const named = JSON.parse(await explain('--agent', 'agent-9', '--workflow', 'refund', '--step', 'issue'))
  expect(named).toMatchObject({
    decision: { grant: { agent: { id: 'agent-9' }, intent: { workflowId: 'refund', step: 'issue' } } },
  })
}, 60_000)

it.each(Object.keys(knownServers).filter((name) => name !== 'auth51'))(
  'makes a token as %s has it',
  async (like) => {
    command.write('policy.json', {
      issuer: { url: 'https://as.example.com', like },
      audience: 'https://orders.example.com',
      proof: { required: false },
      routes: { 'GET /orders/:id': { scope: 'orders:read' } },
    })
    const { stdout } = await command.run(['curl', ...flags, '--url', '/orders/42', '--bearer'])
    expect(stdout).toContain('Bearer')
    const explained = await command.run(['explain', ...flags, '--curl', stdout])
    expect(explained.stdout.split('\n', 1)[0]).toBe('ALLOWED')
  },
  30_000,
)

it('keeps its key in a file for its owner, so that a server can trust it', async () => {
  command.write('policy.json', policy)
  const args = ['curl', '--policy', 'policy.json', '--key', 'key.json', '--url', '/orders/42']
  expect((await command.run([...args, '--jwks', 'jwks.json'])).status).toBe(0)
  expect(statSync(`${command.folder}/key.json`).mode & 0o777).toBe(0o600)
  const { stdout } = await command.run(args)
  const explained = await command.run(['explain', ...flags, '--curl', stdout])
  expect(explained.status).toBe(0)
})

it('has a command that a server answers', async () => {
  command.write('policy.json', policy)
  const { stdout } = await command.spawn(['curl', ...flags, '--url', '/orders/42'])
  const { readFileSync } = await import('node:fs')
  const jwks = JSON.parse(readFileSync(`${command.folder}/jwks.json`, 'utf8'))
  const app = express()
  app.use(ajwt({ ...policy, issuer: { url: 'https://as.example.com', jwks } }))
  app.get('/orders/:id', (req, res) => void res.json({ id: req.params.id }))
  const server = createServer(app)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const headers = Object.fromEntries(
    [...stdout.matchAll(/-H '([^:]+): ([^']+)'/g)].map(([, name = '', value = '']) => [name, value]),
  )
  const { port } = server.address() as AddressInfo
  const response = await fetch(`http://127.0.0.1:${port}/orders/42`, { headers })
  expect([response.status, await response.json()]).toEqual([200, { id: '42' }])
  server.close()
})

it('has the version of the agent that is asked for, and -I for HEAD', async () => {
  command.write('policy.json', policy)
  const { stdout } = await command.run(['curl', ...flags, '--url', '/orders/42', '--agent', 'agent-7'])
  expect((await command.run(['explain', ...flags, '--curl', stdout])).status).toBe(0)
  const head = await command.run(['curl', ...flags, '--url', '/orders/42', '--method', 'HEAD'])
  expect(head.stdout).toMatch(/^curl -I https:/)
  expect((await command.run(['explain', ...flags, '--curl', head.stdout])).status).toBe(0)
})

it('has a command that bash runs, with values that a shell would read otherwise', async () => {
  const text = `it's $HOME \`x\` "q" \\`
  const quoted = { ...policy, routes: { 'GET /orders/:id': { claims: { '/note': { equals: text } } } } }
  command.write('quoted.json', quoted)
  const args = ['curl', '--policy', 'quoted.json', '--jwks', 'jwks.json', '--url', '/orders/42?a=1&b=$HOME']
  const { stdout } = await command.run(args)
  const { execFileSync } = await import('node:child_process')
  const printed = stdout.replace(/^curl /, 'printf "%s\\n" ')
  const words = execFileSync('bash', ['-c', printed], { encoding: 'utf8' }).split('\n')
  expect(words).toContain('https://orders.example.com/v1/orders/42?a=1&b=$HOME')
  const explained = ['explain', '--policy', 'quoted.json', '--jwks', 'jwks.json', '--curl', stdout]
  expect((await command.run(explained)).stdout.split('\n', 1)[0]).toBe('ALLOWED')
})

it.each([
  [[], '--url'],
  [['--url', 'orders/42'], 'must be a path'],
  [['--url', '/x', '--claims', '[1]'], '--claims must be a JSON object'],
  [['--url', '/x', '--key', 'policy.json'], 'no private key'],
])('refuses what it cannot carry out: %s', async (more, message) => {
  command.write('policy.json', policy)
  const { status, stderr } = await command.run(['curl', '--policy', 'policy.json', ...more])
  expect([status, stderr]).toEqual([2, expect.stringContaining(message)])
})
