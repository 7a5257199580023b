import { generateKey } from '../../../fixtures/kit.js'
import type { Policy, RouteRule } from '../../../src/index.js'

export const base: Policy = {
  issuer: 'https://as.example.com',
  audience: 'https://orders.example.com',
  routes: { 'GET /orders/:id': { scope: 'orders:read' }, 'GET /health': 'public' },
}
const issuer = 'https://as.example.com'
const oauth = (more: object) => ({ url: issuer, profile: 'oauth', ...more }) as const
const key = (kid: string) => ({ ...generateKey('ES256').jwk, kid })
const workflows = { refund: { steps: ['check', 'issue'] } }
const checksum = (digit: string) => `sha256:${digit.repeat(64)}`

const withRule = (rule: RouteRule, more: Partial<Policy> = {}): Policy => ({
  ...base,
  ...more,
  routes: { ...base.routes, 'GET /orders/:id': rule },
})

/** Each pair: the stricter policy, the weaker one, and what an example has to say. */
export const pairs: readonly (readonly [name: string, strict: Policy, weak: Policy, by: RegExp | string])[] =
  [
    ['a scope less', withRule({ scope: ['a', 'b'] }), withRule({ scope: 'a' }), 'without the scope b'],
    [
      'one scope of two',
      withRule({ scope: ['a', 'b'] }),
      withRule({ scope: { any: ['a', 'b'] } }),
      'without the scope a',
    ],
    [
      'a scope that includes the needed one',
      withRule({ scope: 'a' }),
      withRule({ scope: 'a' }, { scopes: { all: ['some'], some: 'a' } }),
      'with the scope all alone',
    ],
    [
      'no rule',
      withRule({ scope: 'a' }),
      { ...base, routes: { ...base.routes, 'GET /orders/:id': 'authenticated' } },
      'without the scope a',
    ],
    [
      'public',
      base,
      { ...base, routes: { ...base.routes, 'GET /orders/:id': 'public' } },
      'without credentials',
    ],
    ['anonymous', base, withRule({ scope: 'orders:read', anonymous: true }), 'without credentials'],
    ['observed', base, { ...base, mode: 'observe' }, 'without credentials'],
    ['no workflow', withRule({ intent: { workflow: 'refund' } }), withRule({}), 'without a workflow'],
    [
      'a step more',
      withRule({ intent: { workflow: 'refund', step: 'issue' } }, { workflows }),
      withRule({ intent: { workflow: 'refund' } }, { workflows }),
      'step check',
    ],
    [
      'order left unchecked',
      withRule({ intent: { workflow: 'refund', step: 'issue' } }, { workflows }),
      withRule({ intent: { workflow: 'refund', step: 'issue' } }),
      'with check left out',
    ],
    ['an agent more', withRule({ agents: ['a'] }), withRule({ agents: ['a', 'b'] }), 'of agent b'],
    ['every agent', withRule({ agents: ['a'] }), withRule({}), 'of an agent that no rule lists'],
    [
      'a version more',
      { ...base, agents: { a: { checksums: [checksum('1')] } } },
      { ...base, agents: { a: { checksums: [checksum('1'), checksum('2')] } } },
      'checksum sha256:2222',
    ],
    [
      'a deeper chain',
      withRule({ delegation: { maxDepth: 1 } }),
      withRule({ delegation: { maxDepth: 2 } }),
      'a chain of 2 hops',
    ],
    ['a direct call', withRule({ delegation: { required: true } }), withRule({}), 'direct call'],
    [
      'an initiator more',
      withRule({ delegation: { initiators: ['a'] } }),
      withRule({ delegation: { initiators: ['a', 'b'] } }),
      'of a run of b',
    ],
    [
      'a chain more',
      withRule({ delegation: { chains: [['a', 'b']] } }),
      withRule({
        delegation: {
          chains: [
            ['a', 'b'],
            ['c', 'b'],
          ],
        },
      }),
      'the chain c, b',
    ],
    [
      'another acr',
      withRule({ user: { acr: ['gold'] } }),
      withRule({ user: { acr: ['gold', 'silver'] } }),
      'with acr silver',
    ],
    [
      'an amr less',
      withRule({ user: { amr: ['hwk', 'pin'] } }),
      withRule({ user: { amr: ['hwk'] } }),
      'with amr hwk alone',
    ],
    ['an older login', withRule({ user: { maxAge: 60 } }), withRule({ user: { maxAge: 600 } }), '600 s ago'],
    [
      'a person more',
      withRule({ user: { sub: ['ann'] } }),
      withRule({ user: { sub: ['ann', 'ben'] } }),
      'of a run of ben',
    ],
    [
      'a larger amount',
      withRule({ claims: { '/amount': { max: 100 } } }),
      withRule({ claims: { '/amount': { max: 200 } } }),
      'with /amount 200',
    ],
    [
      'another value',
      withRule({ claims: { '/kind': { equals: 'a' } } }),
      withRule({ claims: { '/kind': { in: ['a', 'b'] } } }),
      'with /kind "b"',
    ],
    [
      'any value',
      withRule({ claims: { '/kind': { equals: 'a' } } }),
      withRule({ claims: { '/kind': { exists: true } } }),
      '"another-value"',
    ],
    [
      'another order',
      withRule({ claims: { '/order': { param: 'id' } } }),
      withRule({ claims: { '/order': { exists: true } } }),
      '"another-value"',
    ],
    ['a token used twice', withRule({ once: true }), withRule({}), 'that was used before'],
    [
      'a larger limit',
      withRule({ limit: { per: 'agent', max: 10, window: 60 } }),
      withRule({ limit: { per: 'agent', max: 20, window: 60 } }),
      'after 10 for one agent within 60 s',
    ],
    [
      'no limit',
      withRule({ limit: { per: 'token', max: '/budget' } }),
      withRule({}),
      'as many as /budget says',
    ],
    ['longer tokens', base, { ...base, token: { maxLifetime: 3600 } }, 'lives for 3600 s'],
    ['typ JWT', base, { ...base, token: { types: ['at+jwt', 'JWT'] } }, 'typ jwt'],
    [
      'another algorithm',
      { ...base, token: { algorithms: ['ES256'] } },
      { ...base, token: { algorithms: ['ES256', 'RS256'] } },
      'signed with RS256',
    ],
    ['older proofs', base, { ...base, proof: { maxAge: 600 } }, '600 s old'],
    ['no nonce', { ...base, proof: { nonce: 'required' } }, base, 'without nonce'],
    ['slower clocks', base, { ...base, token: { clockTolerance: 60 } }, 'expired 60 s ago'],
    [
      'another audience',
      base,
      { ...base, audience: ['https://orders.example.com', 'urn:other'] },
      'for urn:other',
    ],
    [
      'another issuer',
      base,
      { ...base, issuer: ['https://as.example.com', 'https://other.example.com'] },
      'of issuer https://other.example.com',
    ],
    [
      'Bearer',
      { ...base, issuer: { url: 'https://as.example.com', profile: 'oauth' } },
      { ...base, issuer: { url: 'https://as.example.com', profile: 'oauth' }, proof: { required: false } },
      'as Bearer',
    ],
    [
      'a known server, and Bearer',
      { ...base, issuer: { url: 'https://as.example.com', like: 'keycloak' } },
      { ...base, issuer: { url: 'https://as.example.com', like: 'keycloak' }, proof: { required: false } },
      'as Bearer',
    ],
    [
      'the hook authorize left out',
      withRule({ scope: 'a', authorize: true }),
      withRule({ scope: 'a', authorize: false }),
      'that the hook authorize refuses',
    ],
    [
      'the hook authorize not asked, where it is by default',
      withRule({ scope: 'a' }),
      withRule({ scope: 'a', authorize: false }),
      'that the hook authorize refuses',
    ],
    [
      'the hook authorize no longer required',
      withRule({ scope: 'a', authorize: true }),
      withRule({ scope: 'a' }),
      'on a verifier without it',
    ],
    ['preflight', base, { ...base, preflight: true }, 'as a CORS preflight'],
    [
      'another public URL',
      base,
      { ...base, publicUrl: ['https://orders.example.com', 'https://other.example.com'] },
      'with a proof for https://other.example.com',
    ],
    ['http for every host', base, { ...base, allowInsecureHttp: true }, 'over http from every host'],
    [
      'keys of another URL',
      { ...base, issuer: { url: issuer, jwksUri: `${issuer}/a` } },
      { ...base, issuer: { url: issuer, jwksUri: `${issuer}/b` } },
      `signed by a key of ${issuer}/b`,
    ],
    [
      'a key more',
      { ...base, issuer: { url: issuer, jwks: { keys: [key('a')] } } },
      { ...base, issuer: { url: issuer, jwks: { keys: [key('a'), key('b')] } } },
      'signed by the key "b"',
    ],
    [
      'keys that are kept for longer',
      base,
      { ...base, issuer: { url: issuer, keys: { maxStale: 86_400 } } },
      'cannot be fetched for 86400 s',
    ],
    [
      'withdrawn keys that are kept for longer',
      base,
      { ...base, issuer: { url: issuer, keys: { maxAge: 600 } } },
      'withdrawn 600 s ago',
    ],
    ['ordinary tokens', base, { ...base, issuer: oauth({}) }, 'of an ordinary OAuth client'],
    [
      'a claim of the issuer left out',
      { ...base, issuer: oauth({ claims: { '/typ': { equals: 'Bearer' } } }) },
      { ...base, issuer: oauth({}) },
      'of issuer',
    ],
    [
      'scopes read elsewhere',
      { ...base, issuer: oauth({}) },
      { ...base, issuer: oauth({ read: { scope: ['/scp', '/scope'] } }) },
      'has its scope at /scp or /scope',
    ],
    [
      'agents read elsewhere',
      { ...base, issuer: oauth({ read: { agent: '/act/sub' } }) },
      { ...base, issuer: oauth({ read: { agent: '/azp' } }) },
      'has its agent at /azp',
    ],
    [
      'tokens in another field',
      { ...base, proof: { required: false }, issuer: oauth({}) },
      { ...base, proof: { required: false }, issuer: oauth({ header: 'x-token' }) },
      'in the field x-token',
    ],
    [
      'slower clocks of one issuer',
      base,
      { ...base, issuer: { url: issuer, token: { clockTolerance: 60 } } },
      'expired 60 s ago',
    ],
    [
      'chains that are too long for an example',
      { ...base, delegation: { maxDepth: 6 } },
      { ...base, delegation: { maxDepth: 8 } },
      'a chain of 8 hops',
    ],
    [
      'another scheme',
      withRule({ scope: 'a', anonymous: true }),
      withRule({ scope: 'a', anonymous: 'foreign' }),
      'with credentials of another scheme',
    ],
    [
      'a token used twice, under another name of the parameter',
      { ...base, routes: { 'GET /o/:id': { once: true } } },
      { ...base, routes: { 'GET /o/:order': {} } },
      'that was used before',
    ],
    [
      'no limit, for one path of a wildcard',
      { ...base, routes: { '* /o/*': { limit: { per: 'agent', max: 1 } } } },
      { ...base, routes: { '* /o/*': { limit: { per: 'agent', max: 1 } }, 'GET /o/a': {} } },
      'after 1 for one agent',
    ],
    [
      'a workflow with a step less',
      withRule({ intent: { workflow: 'refund', step: 'issue' } }, { workflows }),
      withRule(
        { intent: { workflow: 'refund', step: 'issue' } },
        { workflows: { refund: { steps: ['issue'] } } },
      ),
      'with check left out',
    ],
    [
      'a registration more',
      { ...base, agents: { a: { registrationIds: ['1'] } } },
      { ...base, agents: { a: { registrationIds: ['1', '2'] } } },
      'registration 2',
    ],
    [
      'unsigned chains',
      { ...withRule({ delegation: { chains: [['a', 'b']] } }), delegation: { signed: 'required' } },
      withRule({ delegation: { chains: [['a', 'b']] } }),
      'with the hash of the chain a, b',
    ],
    [
      'an element of an array',
      withRule({ claims: { '/a': { some: { '/t': { equals: 'x' }, '/m': { max: 5 } } } } }),
      withRule({ claims: { '/a': { some: { '/t': { equals: 'x' }, '/m': { max: 50 } } } } }),
      'meets the new rule',
    ],
    ['undeclared paths', base, { ...base, unmatched: 'authenticate' }, 'with a token'],
    [
      'a key more',
      base,
      { ...base, routes: { ...base.routes, 'GET /new': 'authenticated' } },
      'with a token',
    ],
    [
      'a wider key',
      { ...base, routes: { 'GET /a/:id': { scope: 'a' }, 'GET /a/b': { scope: 'b' } } },
      { ...base, routes: { 'GET /a/:id': { scope: 'a' } } },
      'with the scope a alone',
    ],
  ]
