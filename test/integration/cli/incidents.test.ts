import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { AUDIENCE, createKit, issuerJwks, type WireRequest } from '../../../fixtures/kit.js'
import { type BuiltCommand, buildCommand } from '../../support/cli/command.js'
import { furtherIncidents } from '../../support/cli/further-incidents.js'
import { claims, type Incident, incidents, policy } from '../../support/cli/incidents.js'

// An operator has a recorded request that was denied, and types one command.

let command: BuiltCommand
beforeAll(() => {
  command = buildCommand()
}, 60_000)
afterAll(() => command.remove())

/** The command as an operator would type it. */
async function argumentsOf(incident: Incident): Promise<string[]> {
  const kit = createKit()
  const { request } = incident
  const call = typeof request === 'function' ? await request(kit) : kit.call(request)
  const at = new Date(kit.now + 1000 * (incident.late ?? 0)).toISOString()
  const policyFile = command.write('policy.json', { ...policy, ...incident.policy })
  const jwks = command.write('jwks.json', incident.jwks ?? issuerJwks())
  const curl = toCurl(call)
  const keys = incident.jwks === null ? [] : ['--jwks', jwks]
  return ['explain', '--policy', policyFile, '--curl', curl, '--at', at, ...keys, ...(incident.flags ?? [])]
}

function toCurl({ method, url, headers }: WireRequest): string {
  const fields = headers.map(([name, value]) => ` \\\n  -H '${name}: ${value}'`)
  return `curl -X ${method} '${AUDIENCE}${url}'${fields.join('')} --compressed`
}

describe('keys that cannot be had', () => {
  const json =
    (body: unknown): RequestListener =>
    (_, response) =>
      response.end(JSON.stringify(body))
  const answers: Readonly<Record<string, RequestListener>> = {
    '404': (_, response) => response.writeHead(404).end('not here'),
    '500': (_, response) => response.writeHead(500).end('ill'),
    HTML: (_, response) =>
      response.writeHead(200, { 'content-type': 'text/html' }).end('<html>Sign in</html>'),
    redirect: (_, response) => response.writeHead(302, { location: 'https://other.example.com' }).end(),
    'no key': json({ keys: [] }),
    'metadata of another issuer': json({ issuer: 'https://other.example.com', jwks_uri: 'https://x' }),
    'metadata without keys': ({ headers: { host } }, response) =>
      response.end(JSON.stringify({ issuer: `http://${host}` })),
    'no answer': () => {},
  }

  it.each([
    ['404', '404', 'correct jwksUri, or the URL of the issuer'],
    ['500', '500', 'its server fails'],
    ['HTML', 'JSON', 'that URL answers with a page'],
    ['redirect', '302', 'set jwksUri to the URL that the issuer redirects to'],
    ['no key', 'holds no JWK Set', 'publish public signing keys'],
    ['metadata of another issuer', 'https://other.example.com', 'write issuer exactly as the metadata'],
    ['metadata without keys', 'names no jwks_uri', 'name jwks_uri in the metadata'],
    ['no answer', 'no answer within 1 s', 'Check egress rules, DNS and proxy settings'],
    ['no server', 'ECONNREFUSED', 'Check egress rules, DNS and proxy settings'],
  ])('%s', async (name, says, advice) => {
    const server = await listen(answers[name])
    const { port } = server.address() as AddressInfo
    if (name === 'no server') await close(server)
    const url = `http://127.0.0.1:${port}`
    const jwksUri = name.startsWith('metadata') ? {} : { jwksUri: `${url}/jwks` }
    const issuer = { url, ...jwksUri, keys: { timeout: 1 } }
    const incident = {
      name,
      policy: { issuer },
      request: claims({ iss: url }),
      jwks: null,
      code: '',
      says: [],
    }
    // In a process of its own, which has to end although a server does not answer.
    const { status, stdout } = await command.spawn(await argumentsOf(incident))
    if (name !== 'no server') await close(server)
    expect([status, stdout.split('\n', 1)[0]]).toEqual([1, 'DENIED 503 keys_unavailable'])
    expect(flat(stdout)).toContain(`${url}/${name.startsWith('metadata') ? '.well-known' : 'jwks'}`)
    expect(flat(stdout)).toContain(says)
    expect(flat(stdout)).toContain(advice)
  })
})

async function listen(answer: RequestListener = () => {}): Promise<Server> {
  const server = createServer(answer)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return server
}

async function close(server: Server): Promise<void> {
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
}

/** As a person reads it: in one line. */
const flat = (text: string) => text.replaceAll(/\s+/g, ' ')

describe('one command names the cause', () => {
  it.each([...incidents, ...furtherIncidents].map((incident) => [incident.name, incident] as const))(
    '%s',
    async (_, incident) => {
      const { status, stdout, stderr } = await command.run(await argumentsOf(incident))
      expect(stderr).toBe('')
      expect(stdout.split('\n', 1)[0]).toContain(incident.code)
      const verdict = flat(stdout.slice(0, stdout.indexOf('\nrequest\n')))
      for (const text of incident.says)
        expect(verdict).toMatch(text instanceof RegExp ? text : new RegExp(literal(text)))
      for (const line of stdout.split('\n')) expect(line.length).toBeLessThanOrEqual(80)
      expect(stdout).not.toMatch(/eyJ|(?<!sha256:)\b[A-Za-z0-9_-]{60}/)
      expect(status).toBe(1)
    },
  )
})

const literal = (text: string) => text.replaceAll(/[.*+?^${}()|[\]\\/]/g, '\\$&')
