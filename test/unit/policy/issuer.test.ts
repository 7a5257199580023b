import { describe, expect, test } from 'vitest'
import { defaultPolicy } from '../../../fixtures/conformance/policy.js'
import { ISSUER, issuerJwks } from '../../../fixtures/kit.js'
import { createVerifier, type IssuerPolicy, type Policy, PolicyError } from '../../../src/index.js'
import { parseIssuer } from '../../../src/policy/parse.js'

const jwks = issuerJwks()
const base = { url: ISSUER, jwks, profile: 'oauth' }

/** Path and message of everything that is wrong with a policy with this issuer. */
function issuesOf(issuer: object, policy: object = {}): string[] {
  try {
    const proof = { required: false }
    createVerifier({ ...defaultPolicy(), proof, issuer, ...policy } as Policy).close()
  } catch (error) {
    if (error instanceof PolicyError) return error.issues.map(({ path, message }) => `${path}: ${message}`)
    throw error
  }
  return []
}

const accepted: [what: string, entry: object, policy?: object][] = [
  ['types of any kind', { ...base, token: { types: ['none', 'JWT', 'application/x+jwt'] } }],
  ['thirty days', { ...base, token: { maxLifetime: 2_592_000 } }],
  ['a name with keys', { name: 'project-7', jwks, profile: 'oauth' }],
  [
    'a name with the address of keys',
    { name: 'project-7', jwksUri: 'https://keys.example.com', profile: 'oauth' },
  ],
  [
    'JWT with an audience that is no URI, and claims',
    { ...base, audience: 'client', token: { types: ['JWT'] }, claims: { '/use': { equals: 'access' } } },
  ],
  [
    'JWT with audiences that are URIs',
    { ...base, audience: ['urn:orders', 'api://orders'], token: { types: ['JWT'] } },
  ],
  [
    'keys whose path has an "@"',
    { url: ISSUER, jwksUri: 'https://keys.example.com/jwk/agent@a.example', profile: 'oauth' },
  ],
  ['claims of a known server', { ...base, like: 'keycloak', audience: 'client' }],
  ['http where it is allowed', { ...base, url: 'http://as.internal' }, { allowInsecureHttp: true }],
  [
    'http on a host that is allowed it',
    { ...base, url: 'http://as.internal:8080' },
    { allowInsecureHttp: ['as.internal'] },
  ],
  [
    'http on that host and port',
    { ...base, url: 'http://as.internal:8080' },
    { allowInsecureHttp: ['as.internal:8080'] },
  ],
  ...['http://localhost:1', 'http://as.localhost', 'http://127.9.9.9', 'http://[::1]:1'].map(
    (url): [string, object] => [`http at ${url}`, { ...base, url }],
  ),
]

const refused: [what: string, entry: object, says: string, policy?: object][] = [
  [
    'read under profile ajwt',
    { url: ISSUER, jwks, read: { scope: '/scp' } },
    'issuer.read: is for profile "oauth" only',
    { proof: {} },
  ],
  ...[
    'dpop+jwt',
    'logout+jwt',
    'secevent+jwt',
    'oauth-id-jag+jwt',
    'kb+jwt',
    'id_token+jwt',
    'token-introspection+jwt',
    'statuslist+jwt',
    'entity-statement+jwt',
    'client-authentication+jwt',
    'authorization-grant+jwt',
    'oauth-client-attestation+jwt',
    'oauth-client-attestation-pop+jwt',
    'oauth-authz-req+jwt',
    'openid4vci-proof+jwt',
    'key-attestation+jwt',
    'wpt+jwt',
    'AJWT-Delegation+jwt',
    'application/dpop+jwt',
  ].map((type): [string, object, string] => [
    `the type ${type}`,
    { ...base, token: { types: ['at+jwt', type] } },
    `issuer.token.types: "${type}" is known to be no access token`,
  ]),
  [
    'JWT with an audience that may be a client',
    { ...base, audience: 'client', token: { types: ['JWT'] } },
    'issuer.claims: is needed',
  ],
  [
    'JWT with an audience that is a path',
    { ...base, audience: '/projects/1', token: { types: ['JWT'] } },
    'issuer.claims: is needed',
  ],
  [
    'none with such an audience',
    { ...base, audience: 'client', token: { types: ['none'] } },
    'issuer.claims: is needed',
  ],
  [
    "JWT of the policy with an audience of the policy's",
    base,
    'issuer.claims: is needed',
    { token: { types: ['JWT'] }, audience: ['https://a.example', 'client'] },
  ],
  [
    'a lifetime of more than thirty days',
    { ...base, token: { maxLifetime: 2_592_001 } },
    'issuer.token.maxLifetime',
  ],
  ['a name without keys', { name: 'project-7', profile: 'oauth' }, 'issuer.name: needs jwksUri or jwks'],
  ['a name with a blank', { name: 'project 7', jwks, profile: 'oauth' }, 'issuer.name: must be 1 to 256'],
  ['neither url nor name', { jwks, profile: 'oauth' }, 'issuer.url: is missing'],
  [
    'a field where proofs are required',
    { ...base, header: 'X-Token' },
    'issuer.header: is for unbound tokens only',
    { proof: { required: true } },
  ],
  [
    'a field under profile ajwt',
    [base, { url: 'https://b.example', jwks, header: 'X-Token' }],
    'issuer[1].header: is for unbound tokens only',
  ],
  [
    'the field Authorization',
    { ...base, header: 'authorization' },
    'issuer.header: must be a field other than',
  ],
  ['the field DPoP', { ...base, header: 'DPoP' }, 'issuer.header: must be a field other than'],
  [
    'no name of a field',
    { ...base, header: 'x token' },
    'issuer.header: must be the name of a request field',
  ],
  [
    'a param, which no token can meet',
    { ...base, claims: { '/a': { param: 'id' } } },
    'issuer.claims["/a"].param: is not a key here',
  ],
  [
    'a claim that has to be absent and equal',
    { ...base, claims: { '/a': { exists: false, equals: 1 } } },
    'issuer.claims["/a"]: exists false contradicts the other keys',
  ],
  [
    'the same in an element',
    { ...base, claims: { '/a': { some: { '/b': { exists: false, min: 1 } } } } },
    'issuer.claims["/a"].some["/b"]: exists false contradicts the other keys',
  ],
  [
    'no number between',
    { ...base, claims: { '/a': { min: 2, max: 1 } } },
    'issuer.claims["/a"]: min is greater than max',
  ],
  [
    'a constraint that is undefined',
    { ...base, claims: { '/a': { in: undefined } } },
    'issuer.claims["/a"].in: is undefined',
  ],
  ['an audience that is undefined', { ...base, audience: undefined }, 'issuer.audience: is undefined'],
  ['a field that is undefined', { ...base, header: undefined }, 'issuer.header: is undefined'],
  [
    'a pointer that is none',
    { ...base, read: { scope: 'scp' } },
    'issuer.read.scope: must be a JSON pointer',
  ],
  [
    'an earlier actor as the agent',
    { ...base, read: { agent: '/act/act/sub' } },
    'issuer.read.agent: names an earlier actor',
  ],
  ['two pointers to the agent', { ...base, read: { agent: ['/azp', '/client_id'] } }, 'issuer.read.agent'],
  ['a server that is not known', { ...base, like: 'keyclaok' }, 'did you mean "keycloak"?'],
  [
    'one iss twice',
    [base, { name: ISSUER, jwks, profile: 'oauth' }],
    'issuer[1]: is the same issuer as an earlier entry',
  ],
  ['http', { ...base, url: 'http://as.internal' }, 'issuer.url: must be an https URL'],
  [
    'http on another host',
    { ...base, url: 'http://as.internal' },
    'issuer.url: must be an https URL',
    { allowInsecureHttp: ['b.internal'] },
  ],
  [
    'http for keys',
    { url: ISSUER, jwksUri: 'http://as.internal', profile: 'oauth' },
    'issuer.jwksUri: must be an https URL',
  ],
  [
    'a host that looks like loopback',
    { ...base, url: 'http://localhost.example.com' },
    'issuer.url: must be an https URL',
  ],
  [
    'a parameter that the path has not, in an element',
    base,
    'routes["GET /x/:id"].claims["/a"].some["/b"].param: the path has no parameter ":no"',
    { routes: { 'GET /x/:id': { claims: { '/a': { some: { '/b': { param: 'no' } } } } } } },
  ],
]

describe("an issuer's entry", () => {
  test.each(accepted)('accepts %s', (_, entry, policy) => {
    expect(issuesOf(entry, policy)).toEqual([])
  })

  test.each(refused)('refuses %s', (_, entry, says, policy) => {
    expect(issuesOf(entry, policy).join('\n')).toContain(says)
  })
})

const defaults = {
  token: {},
  audiences: ['https://a.example'],
  isProofRequired: false,
  allowInsecureHttp: false,
}

function compiled(entry: IssuerPolicy) {
  return parseIssuer(entry, defaults)
}

describe('like', () => {
  test('fills profile, token, read and claims', () => {
    const { profile, token, sources, constraints } = compiled({ url: ISSUER, like: 'cognito' })
    expect(profile).toBe('oauth')
    expect([token.allowsNoType, token.maxLifetime]).toEqual([true, 3600])
    expect(sources.audience).toEqual([['aud'], ['client_id']])
    expect(constraints.map(({ name }) => name)).toEqual(['/token_use'])
  })

  test('each written key wins, and the others stay', () => {
    const { token, sources, constraints } = compiled({
      url: ISSUER,
      like: 'entra',
      token: { maxLifetime: 4000 },
      read: { scope: '/roles' },
      claims: { '/tid': { equals: 'tenant' } },
    })
    expect([token.maxLifetime, [...token.types]]).toEqual([4000, ['jwt']])
    expect([sources.scope, sources.id]).toEqual([[['roles']], [['uti']]])
    expect(constraints.map(({ name }) => name)).toEqual(['/tid', '/azpacr'])
    const [tid] = constraints
    expect([tid?.check('tenant', {}), tid?.check('other', {})]).toEqual([true, false])
  })

  test('takes the claims of the version of the server that the issuer is of', () => {
    const claimsOf = (entry: IssuerPolicy) => compiled({ like: 'entra', ...entry }).constraints
    const names = (entry: IssuerPolicy) => claimsOf(entry).map(({ name }) => name)
    const v1 = 'https://sts.windows.net/t1/'
    expect(names({ url: v1 })).toEqual(['/tid', '/appidacr'])
    expect(names({ name: v1, jwks })).toEqual(['/tid', '/appidacr'])
    expect(names({ url: v1, claims: { '/idtyp': { exists: true } } })).toEqual([
      '/tid',
      '/appidacr',
      '/idtyp',
    ])
    for (const url of ['https://login.microsoftonline.com/t1/v2.0', 'https://sts.windows.net.example/'])
      expect(names({ url })).toEqual(['/tid', '/azpacr'])
  })

  test('a written profile wins, and keys of the other profile are refused', () => {
    expect(() => compiled({ url: ISSUER, like: 'entra', profile: 'ajwt' })).toThrow(/profile "oauth" only/)
  })
})

test('allowInsecureHttp causes one warning at the start', async () => {
  const warnings: string[] = []
  const listen = (warning: Error & { code?: string }) => {
    if (warning.code === 'AJWT_INSECURE_HTTP') warnings.push(warning.message)
  }
  const settled = () => new Promise((resolve) => setImmediate(resolve))
  await settled()
  process.on('warning', listen)
  issuesOf(base, { allowInsecureHttp: true })
  issuesOf(base, { allowInsecureHttp: ['as.internal'] })
  issuesOf(base, { allowInsecureHttp: false })
  issuesOf(base)
  await settled()
  process.off('warning', listen)
  expect(warnings).toHaveLength(2)
  expect(warnings[0]).toContain('any host')
  expect(warnings[1]).toContain('as.internal')
})
