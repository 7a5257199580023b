import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createVerifier, type Policy } from '../../../src/index.js'
import { type BuiltCommand, buildCommand } from '../../support/cli/command.js'

let command: BuiltCommand
beforeAll(() => {
  command = buildCommand()
}, 60_000)
afterAll(() => command.remove())

const head = { issuer: 'https://as.example.com', audience: 'https://orders.example.com' }
const issuerUrl = 'https://as.example.com/.well-known/openid-configuration'
const oauth = { type: 'openIdConnect', openIdConnectUrl: issuerUrl }
const withSchemes = (paths: object, more: object = {}) => ({
  openapi: '3.1.0',
  components: { securitySchemes: { oauth, key: { type: 'apiKey', in: 'header', name: 'x-key' } } },
  paths,
  ...more,
})
const needs = (...scopes: string[]) => ({ security: [{ oauth: scopes }] })

/** Lines of `check` for a policy with these routes. */
async function compare(routes: object, api: unknown, name = 'openapi.json'): Promise<string[]> {
  command.write('policy.json', { ...head, routes })
  command.write(name, api)
  const { stdout } = await command.run(['check', 'policy.json', '--openapi', name])
  return stdout.split('\n').filter((line) => line !== '')
}

/** The first policy for a document. `check` and `createVerifier` have accepted it. */
async function firstPolicy(api: unknown, name = 'openapi.json'): Promise<Policy> {
  command.write(name, api)
  const { status, stdout, stderr } = await command.run(['check', '--from-openapi', name])
  expect([status, stderr]).toEqual([0, ''])
  const policy = JSON.parse(stdout) as Policy
  createVerifier(policy).close()
  command.write('first.json', stdout)
  const checked = await command.run(['check', 'first.json', '--openapi', name])
  expect(checked).toMatchObject({ status: 0, stdout: '' })
  return policy
}

describe('references', () => {
  const pathItems = { Order: { get: needs('read'), delete: needs('drop') } }
  const components = { pathItems, securitySchemes: { oauth: { $ref: '#/x-oauth' } } }
  const api = {
    openapi: '3.1.0',
    'x-oauth': oauth,
    components,
    paths: { '/orders/{id}': { $ref: '#/components/pathItems/Order' } },
  }

  it('within the document are followed: no operation is overlooked', async () => {
    expect(await firstPolicy(api)).toMatchObject({
      issuer: 'https://as.example.com',
      routes: { 'GET /orders/:id': { scope: 'read' }, 'DELETE /orders/:id': { scope: 'drop' } },
    })
    expect(await compare({ 'GET /orders/:id': 'public' }, api)).toEqual([
      expect.stringMatching(/^openapi\.json:\d+:\d+: GET \/orders\/\{id\}: the operation has security, and/),
      expect.stringMatching(
        /^openapi\.json:\d+:\d+: DELETE \/orders\/\{id\}: no key of routes is for this operation/,
      ),
    ])
  })

  it('to other files are followed, and findings name these files', async () => {
    command.write(
      'order.yaml',
      'get: { security: [{ oauth: [read] }] }\nx:\n  a/b:\n    post:\n      security: []\n',
    )
    const paths = { '/orders/{id}': { $ref: './order.yaml' }, '/other': { $ref: 'order.yaml#/x/a~1b' } }
    expect(await compare({}, { openapi: '3.0.3', paths })).toEqual([
      expect.stringMatching(/^order\.yaml:1:1: GET \/orders\/\{id\}: no key/),
      expect.stringMatching(/^order\.yaml:4:5: POST \/other: no key/),
    ])
    expect(await firstPolicy({ openapi: '3.0.3', paths })).toMatchObject({
      routes: { 'GET /orders/:id': { scope: 'read' }, 'POST /other': 'public' },
    })
  })

  it.each([
    ['#/components/none', 'points at nothing'],
    ['#/constructor', 'points at nothing'],
    ['#/paths/~1a', 'its $ref comes back to itself'],
    ['#anchor', 'has no JSON pointer'],
    ['none.yaml', 'none.yaml: there is no such file'],
    ['https://example.com/a.yaml', 'is a URL, and nothing is fetched'],
  ])('to %s are refused', async ($ref, message) => {
    command.write('policy.json', { ...head, routes: {} })
    const file = command.write('openapi.json', { openapi: '3.1.0', paths: { '/a': { $ref } } })
    const { status, stderr } = await command.run(['check', 'policy.json', '--openapi', file])
    expect([status, stderr]).toEqual([2, expect.stringContaining(message)])
  })
})

describe('servers', () => {
  const paths = { '/a': { get: {} }, '/b': { servers: [{ url: '/other' }], get: {} } }

  it('have their variables filled in', async () => {
    const variables = { env: { default: 'api' }, version: { default: 'v2' } }
    const servers = [{ url: 'https://{env}.example.com/{version}', variables }]
    const policy = await firstPolicy({ openapi: '3.0.3', servers, paths: { '/a': { get: {} } } })
    expect(policy).toMatchObject({
      audience: 'https://api.example.com/v2',
      publicUrl: 'https://api.example.com/v2',
    })
  })

  it('may be those of a path, or of an operation', async () => {
    expect(
      await compare({ 'GET /a': 'public', 'GET /other/b': 'public' }, { openapi: '3.1.0', paths }),
    ).toEqual([])
    const own = { '/b': { get: { servers: [{ url: 'https://b.example.com/c' }] } } }
    expect(await compare({ 'GET /c/b': 'public' }, { openapi: '3.1.0', paths: own })).toEqual([])
    expect(await compare({ 'GET /d/b': 'public' }, { openapi: '3.1.0', paths: own })).toHaveLength(2)
  })

  it.each([
    [[{ url: 'http://api.example.com/v1/' }], 'https://api.example.com/v1'],
    [[{ url: 'http://localhost:3000' }], 'http://localhost:3000'],
    [[{ url: '/v1' }, { url: 'https://b.example.com' }], 'https://b.example.com'],
    [[{ url: 'https://{tenant}.example.com' }], 'https://api.example.com'],
    [undefined, 'https://api.example.com'],
  ])('%j: the audience is %s', async (servers, audience) => {
    expect(await firstPolicy({ openapi: '3.1.0', servers, paths: { '/a': { get: {} } } })).toMatchObject({
      audience,
    })
  })
})

describe('a first policy', () => {
  it('has the stricter of two operations for the same requests', async () => {
    const paths = {
      '/orders': { get: { security: [] } },
      '/orders/': { get: needs('list') },
      '/Orders/{id}': { get: { security: [] }, head: { security: [] } },
      '/orders/{order}': { get: needs('read') },
      '/orders/{id}:cancel': { post: needs('cancel') },
      '/orders/{other}': { post: needs('change') },
    }
    const { routes } = await firstPolicy(withSchemes(paths))
    expect(routes).toEqual({
      'GET /orders': { scope: 'list' },
      'GET /Orders/:id': { scope: 'read' },
      'POST /orders/:id': { scope: ['cancel', 'change'] },
    })
  })

  it('asks for the scopes of tokens, not for another credential', async () => {
    const paths = {
      '/a': { get: { security: [{ key: [] }, { oauth: ['read'] }] } },
      '/b': { get: { security: [{ oauth: ['read'] }, { oauth: ['write'] }] } },
      '/c': { get: { security: [{ key: ['role'] }] } },
      '/d': { get: { security: [{ oauth: ['read'] }, {}] } },
      '/e': { get: needs('read write') },
      '/f': { get: {} },
    }
    const { routes } = await firstPolicy(withSchemes(paths, { security: [{ oauth: ['all'] }] }))
    expect(routes).toEqual({
      'GET /a': { scope: 'read' },
      'GET /b': { scope: { any: ['read', 'write'] } },
      'GET /c': 'authenticated',
      'GET /d': 'public',
      'GET /e': { scope: ['read', 'write'] },
      'GET /f': { scope: 'all' },
    })
  })

  it('takes paths as generators write them', async () => {
    const paths = {
      '/files/{proxy+}': { get: {} },
      '/reports/{id}.json': { get: {} },
      '/search?kind=all': { get: {} },
      '/with blank': { get: {} },
      '/': { get: {}, query: {} },
      'x-paths': { get: {} },
    }
    const { routes } = await firstPolicy({ openapi: '3.2.0', paths })
    expect(Object.keys(routes)).toEqual([
      'GET /files/*',
      'GET /reports/:id',
      'GET /search',
      'GET /:p',
      'GET /',
      'QUERY /',
    ])
  })

  it.each([
    [
      {
        type: 'oauth2',
        flows: {
          clientCredentials: {
            tokenUrl: 'https://kc.example.com/realms/shop/protocol/openid-connect/token',
            scopes: {},
          },
        },
      },
      'https://kc.example.com/realms/shop',
    ],
    [
      {
        type: 'oauth2',
        flows: { clientCredentials: { tokenUrl: 'https://as.example.com/oauth2/token', scopes: {} } },
      },
      'https://as.example.com',
    ],
    [
      { type: 'openIdConnect', openIdConnectUrl: '/.well-known/openid-configuration' },
      'https://as.example.com',
    ],
    [
      { type: 'openIdConnect', openIdConnectUrl: 'http://as.example.net/.well-known/openid-configuration' },
      'https://as.example.com',
    ],
    [
      {
        type: 'oauth2',
        oauth2MetadataUrl: 'https://as.example.net/.well-known/oauth-authorization-server',
        flows: {},
      },
      'https://as.example.net',
    ],
  ])('finds the issuer of %j', async (scheme, issuer) => {
    const api = {
      openapi: '3.1.0',
      components: { securitySchemes: { s: scheme } },
      paths: { '/a': { get: {} } },
    }
    expect(await firstPolicy(api)).toMatchObject({ issuer })
  })

  it('reads Swagger 2.0, YAML and JSON with tabs', async () => {
    const swagger =
      'swagger: "2.0"\nhost: api.example.com\nbasePath: /v1\nsecurityDefinitions:\n  o: { type: oauth2, flow: application, tokenUrl: "https://as.example.net/token" }\npaths:\n  /a/{id}:\n    get: { security: [{ o: [r] }] }\n'
    expect(await firstPolicy(swagger, 'swagger.yaml')).toEqual({
      issuer: 'https://as.example.net',
      audience: 'https://api.example.com/v1',
      publicUrl: 'https://api.example.com/v1',
      routes: { 'GET /a/:id': { scope: 'r' } },
    })
    const tabs = JSON.stringify(withSchemes({ '/a': { get: needs('r') } }), null, '\t')
    expect(await firstPolicy(tabs)).toMatchObject({ routes: { 'GET /a': { scope: 'r' } } })
  })
})

it('a document with a mistake is refused with its place, and nothing of its content', async () => {
  command.write('policy.json', { ...head, routes: {} })
  const file = command.write('openapi.yaml', 'openapi: 3.1.0\npaths:\n  /a: { get: {\n  SECRET\n')
  const { status, stderr } = await command.run(['check', 'policy.json', '--openapi', file])
  expect([status, stderr]).toEqual([2, expect.stringMatching(/openapi\.yaml:\d+:\d+: /)])
  expect(stderr).not.toContain('SECRET')
})
