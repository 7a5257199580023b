// Compiled, never run: valid code, and, by @ts-expect-error, invalid code.
import { createVerifier, definePolicy, type Policy } from '../../src/index.js'

const base = { issuer: 'https://as.example.com', audience: 'https://orders.example.com' } as const
const workflows = { refund: { steps: ['look', { id: 'approve', optional: true }, 'issue'] } } as const

/** Every key of a policy, at every level. */
const full = definePolicy({
  $schema: './policy.schema.json',
  issuer: [
    'https://other.example.com',
    {
      url: 'https://as.example.com',
      jwks: { keys: [{ kty: 'EC', crv: 'P-256', x: 'x', y: 'y' }] },
      profile: 'oauth',
      keys: { maxAge: 1, cooldown: 1, maxStale: 1, timeout: 1 },
    },
    { url: 'https://third.example.com', jwksUri: 'https://third.example.com/jwks' },
    {
      name: 'project-7',
      like: 'keycloak',
      jwksUri: 'https://third.example.com/jwks',
      audience: ['urn:orders'],
      header: 'X-Token',
      token: {
        types: ['JWT', 'none', 'x+jwt'],
        algorithms: ['ES256'],
        maxLifetime: 86_400,
        clockTolerance: 0,
      },
      read: {
        scope: ['/scp', '/scope'],
        id: 'hash',
        agent: '/act/sub',
        audience: '/client_id',
        subject: ['/sub', '/client_id'],
      },
      claims: { '/typ': { in: ['Bearer'] }, '/x': { some: { '/y': { equals: 1 } } } },
    },
  ],
  allowInsecureHttp: ['as.internal'],
  audience: ['https://orders.example.com'],
  publicUrl: 'https://orders.example.com',
  mode: 'enforce',
  scopes: { orders: ['orders:read'], admin: 'orders' },
  metadata: { scopes: ['orders'], intents: true },
  preflight: true,
  unmatched: 'deny',
  token: { types: ['at+jwt', 'JWT'], algorithms: ['ES256'], maxLifetime: 300, clockTolerance: 5 },
  proof: { required: true, algorithms: ['ES384'], maxAge: 60, nonce: 'required' },
  delegation: { maxDepth: 4, signed: 'required' },
  workflows,
  agents: { 'https://as.example.com a': { checksums: ['x'], registrationIds: ['r'] } },
  routes: {
    'GET /': 'public',
    '* /any/*': 'authenticated',
    'QUERY,VERSION-CONTROL /orders/:id/items/:item': {
      scope: ['orders:read'],
      intent: { workflow: 'refund', step: ['look', 'approve'] },
      agents: ['https://as.example.com a'],
      delegation: {
        maxDepth: 1,
        initiators: ['https://as.example.com a'],
        chains: [['https://as.example.com a']],
        required: false,
      },
      user: { sub: ['https://as.example.com ada'], acr: ['x'], amr: ['x'], maxAge: 1 },
      claims: {
        '/order': { param: 'id' },
        '/item': { param: 'item', exists: true },
        '/roles': { includes: ['a', 'b'], some: { '/id': { param: 'id' } } },
        '/any': { equals: { anything: [{ at: 'all' }] }, in: [1, { a: null }], min: 1, max: 2 },
      },
      authorize: false,
      limit: { per: 'intent', max: '/budget', window: 60, name: 'a', skipServerErrors: true },
      once: true,
      anonymous: false,
      mode: 'observe',
    },
    'GET /limited': {
      limit: [
        { per: 'agent', max: 1, window: 1 },
        { per: 'token', max: 2 },
      ],
    },
    'GET /mine': { scope: { any: ['a', 'b'] }, anonymous: 'foreign' },
    'POST /refund': { scope: 'a', intent: { workflow: 'refund', step: 'issue' } },
  },
})
createVerifier(full)
const audience: readonly ['https://orders.example.com'] = full.audience
export const kept = [audience]

// Without workflows, every name compiles: the runtime checks it.
definePolicy({ ...base, routes: { 'GET /x': { intent: { workflow: 'any', step: 'step' } } } })
declare const wide: Policy
declare const text: string
definePolicy(wide)
definePolicy({
  ...base,
  issuer: text,
  routes: { 'GET /x': { scope: text, claims: { '/a': { param: text } } } },
})
definePolicy({ ...base, workflows, routes: { [text]: { intent: { workflow: text, step: text } } } })
definePolicy({ ...base, ...wide })

// @ts-expect-error: a key of the policy with a typo
definePolicy({ ...base, routes: {}, unmatchd: 'deny' })
// @ts-expect-error: a key of the metadata with a typo
definePolicy({ ...base, routes: {}, metadata: { scope: ['a'] } })
// @ts-expect-error: a scope includes scopes by name
definePolicy({ ...base, routes: {}, scopes: { orders: { any: ['a'] } } })
// @ts-expect-error: a key of a limit with a typo
definePolicy({ ...base, routes: { 'GET /x': { limit: { per: 'agent', max: 1, windw: 1 } } } })
// @ts-expect-error: the same in a list
definePolicy({ ...base, routes: { 'GET /x': { limit: [{ per: 'agent', max: 1, windw: 1 }] } } })
// @ts-expect-error: nothing of that name can be counted by
definePolicy({ ...base, routes: { 'GET /x': { limit: { per: 'user', max: 1 } } } })
// @ts-expect-error: a policy is plain data, and no request of its routes has a cost
definePolicy({ ...base, routes: { 'GET /x': { limit: { per: 'agent', max: 1, cost: 2 } } } })
// @ts-expect-error: a policy is applied before the body is read
definePolicy({ ...base, routes: { 'GET /x': { body: { '/a': { max: 1 } } } } })
// @ts-expect-error: no audience
definePolicy({ issuer: 'https://as.example.com', routes: {} })
// @ts-expect-error: a key of a part
definePolicy({ ...base, routes: {}, proof: { maxage: 60 } })
// @ts-expect-error: a key of the tokens of an issuer
definePolicy({ ...base, routes: {}, issuer: { url: 'https://as.example.com', token: { type: ['JWT'] } } })
// @ts-expect-error: a key of what is read
definePolicy({ ...base, routes: {}, issuer: { url: 'https://as.example.com', read: { scopes: '/scp' } } })
// @ts-expect-error: several pointers to the agent
definePolicy({ ...base, routes: {}, issuer: { url: 'https://as.example.com', read: { agent: ['/azp'] } } })
// @ts-expect-error: a server that is not known
definePolicy({ ...base, routes: {}, issuer: { url: 'https://as.example.com', like: 'keyclaok' } })
definePolicy({
  ...base,
  routes: {},
  // @ts-expect-error: a constraint of an issuer
  issuer: { url: 'https://as.example.com', claims: { '/a': { equal: 1 } } },
})
definePolicy({
  ...base,
  routes: {},
  // @ts-expect-error: a parameter, which no token of an issuer can meet
  issuer: { url: 'https://as.example.com', claims: { '/a': { param: 'id' } } },
})
// @ts-expect-error: a key of scope
definePolicy({ ...base, routes: { 'GET /x': { scope: { all: ['a'] } } } })
// @ts-expect-error: a word of anonymous
definePolicy({ ...base, routes: { 'GET /x': { anonymous: 'strangers' } } })
// @ts-expect-error: a constraint within some
definePolicy({ ...base, routes: { 'GET /x': { claims: { '/a': { some: { '/b': { equal: 1 } } } } } } })
// @ts-expect-error: a parameter within some that the path has not
definePolicy({ ...base, routes: { 'GET /x/:id': { claims: { '/a': { some: { '/b': { param: 'no' } } } } } } })
// @ts-expect-error: a key of an issuer
definePolicy({ ...base, routes: {}, issuer: { url: 'https://as.example.com', jwksuri: 'x' } })
// @ts-expect-error: a key of one issuer of several
definePolicy({ ...base, routes: {}, issuer: ['https://b.example.com', { url: 'x', keys: { maxage: 1 } }] })
// @ts-expect-error: a key of a workflow's step
definePolicy({ ...base, routes: {}, workflows: { refund: { steps: [{ id: 'a', optinal: true }] } } })
// @ts-expect-error: a key of an agent
definePolicy({ ...base, routes: {}, agents: { a: { checksums: ['x'], registrationId: ['r'] } } })
// @ts-expect-error: a key of a rule, beside one that is right
definePolicy({ ...base, routes: { 'GET /x': { scope: 'a', agent: ['b'] } } })
// @ts-expect-error: a key of a rule's delegation
definePolicy({ ...base, routes: { 'GET /x': { delegation: { maxdepth: 1 } } } })
// @ts-expect-error: a key of intent
definePolicy({ ...base, routes: { 'GET /x': { intent: { workflow: 'a', steps: 'b' } } } })
// @ts-expect-error: a constraint on a claim
definePolicy({ ...base, routes: { 'GET /x': { claims: { '/a': { equals: 1, minimum: 1 } } } } })
// @ts-expect-error: a route without a method
definePolicy({ ...base, routes: { '/x': 'public' } })
// @ts-expect-error: a method in lower case
definePolicy({ ...base, routes: { 'get /x': 'public' } })
// @ts-expect-error: a method that HTTP has not registered
definePolicy({ ...base, routes: { 'GET,GTE /x': 'public' } })
// @ts-expect-error: "*" beside a method
definePolicy({ ...base, routes: { 'GET,* /x': 'public' } })
// @ts-expect-error: a path without a slash
definePolicy({ ...base, routes: { 'GET x': 'public' } })
// @ts-expect-error: an access that is none
definePolicy({ ...base, routes: { 'GET /x': 'Public' } })
// @ts-expect-error: a parameter that the path has not
definePolicy({ ...base, routes: { 'GET /orders/:id': { claims: { '/a': { param: 'order' } } } } })
// @ts-expect-error: a workflow that is not listed
definePolicy({ ...base, workflows, routes: { 'GET /x': { intent: { workflow: 'refnud' } } } })
// @ts-expect-error: a step that is not listed
definePolicy({ ...base, workflows, routes: { 'GET /x': { intent: { workflow: 'refund', step: 'isue' } } } })
const steps = ['look', 'pay'] as const
// @ts-expect-error: one step of several that is not listed
definePolicy({ ...base, workflows, routes: { 'GET /x': { intent: { workflow: 'refund', step: steps } } } })
