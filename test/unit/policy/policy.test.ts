import { describe, expect, test } from 'vitest'
import { defaultPolicy } from '../../../fixtures/conformance/policy.js'
import { AUDIENCE, agentKeys, ISSUER, issuerJwks, issuerKeys, published } from '../../../fixtures/kit.js'
import { requireIntent } from '../../../middleware/express.js'
import { createVerifier, PolicyError } from '../../../src/index.js'

/** The issues of the error that making a verifier throws. */
function issuesOf(override: object, options?: object): { paths: string[]; message: string } {
  try {
    createVerifier({ ...defaultPolicy(), ...override }, options)
  } catch (error) {
    if (error instanceof PolicyError)
      return { paths: error.issues.map(({ path }) => path), message: error.message }
    throw error
  }
  return { paths: [], message: '' }
}

const issuer = (over: object) => ({ issuer: { url: ISSUER, jwks: issuerJwks(), ...over } })
const rule = (condition: object, key = 'GET /x/:id') => ({ routes: { [key]: condition } })
const inRule = (path: string) => `routes["GET /x/:id"].${path}`

const wrongPolicies: [id: string, title: string, override: object, path: string][] = [
  ['A284', 'no algorithm', { token: { algorithms: [] } }, 'token.algorithms'],
  ['A284', 'alg "none"', { token: { algorithms: ['ES256', 'none'] } }, 'token.algorithms[1]'],
  ['A284', 'HMAC', { token: { algorithms: ['HS256'] } }, 'token.algorithms[0]'],
  ['A284', 'an algorithm in other letter case', { token: { algorithms: ['es256'] } }, 'token.algorithms[0]'],
  [
    'A284',
    'an inherited name as algorithm',
    { token: { algorithms: ['constructor'] } },
    'token.algorithms[0]',
  ],
  ['A284', 'no algorithm for proofs', { proof: { algorithms: [] } }, 'proof.algorithms'],
  ['A284', 'HMAC for proofs', { proof: { algorithms: ['HS256'] } }, 'proof.algorithms[0]'],
  ['A284', 'algorithms as a string', { token: { algorithms: 'ES256' } }, 'token.algorithms'],
  ['A284', 'an empty audience', { audience: '' }, 'audience'],
  ['A284', 'no audience', { audience: [] }, 'audience'],
  ['A284', 'an empty audience among others', { audience: [AUDIENCE, ''] }, 'audience[1]'],
  ['A284', 'a missing audience', { audience: undefined }, 'audience'],
  ['A284', 'a negative tolerance', { token: { clockTolerance: -1 } }, 'token.clockTolerance'],
  [
    'A284',
    'a tolerance that is no number',
    { token: { clockTolerance: Number.NaN } },
    'token.clockTolerance',
  ],
  [
    'A284',
    'an endless tolerance',
    { token: { clockTolerance: Number.POSITIVE_INFINITY } },
    'token.clockTolerance',
  ],
  ['A284', 'a tolerance in milliseconds', { token: { clockTolerance: 60_000 } }, 'token.clockTolerance'],
  ['A284', 'a tolerance that is text', { token: { clockTolerance: '5' } }, 'token.clockTolerance'],
  ['A284', 'a life in milliseconds', { token: { maxLifetime: 300_000 } }, 'token.maxLifetime'],
  ['A284', 'no life at all', { token: { maxLifetime: 0 } }, 'token.maxLifetime'],
  ['A284', 'the age of a proof in milliseconds', { proof: { maxAge: 60_000 } }, 'proof.maxAge'],
  ['A284', 'the age of a proof that is no number', { proof: { maxAge: Number.NaN } }, 'proof.maxAge'],
  ['A284', 'a type that is none', { token: { types: ['dpop+jwt'] } }, 'token.types[0]'],
  ['A284', 'no type', { token: { types: [] } }, 'token.types'],
  [
    'A284',
    'proofs not required where no issuer is an ordinary one',
    { proof: { required: false } },
    'proof.required',
  ],
  ['A284', 'a word for whether proofs are required', { proof: { required: 'no' } }, 'proof.required'],
  ['A284', 'nonces that are neither off nor required', { proof: { nonce: 'on' } }, 'proof.nonce'],
  ['A284', 'a key of the policy that is misspelt', { tokens: {} }, 'tokens'],
  ['A284', 'a key of a part that is misspelt', { proof: { maxage: 60 } }, 'proof.maxage'],
  ['A284', 'a mode that is none', { mode: 'log' }, 'mode'],
  ['A284', 'a word for what no route names', { unmatched: 'allow' }, 'unmatched'],
  ['A284', 'no issuer', { issuer: [] }, 'issuer'],
  ['A284', 'an issuer twice', { issuer: [ISSUER, ISSUER] }, 'issuer[1]'],
  ['A284', 'keys and where they are', issuer({ jwksUri: `${ISSUER}/jwks` }), 'issuer'],
  ['A284', 'a profile that is none', issuer({ profile: 'jwt' }), 'issuer.profile'],
  ['A284', 'no usable key', issuer({ jwks: { keys: [{ kty: 'oct', k: 'AAAA' }] } }), 'issuer.jwks'],
  [
    'A284',
    'keys that are too short',
    issuer({ jwks: { keys: [published(agentKeys.rsa1024)] } }),
    'issuer.jwks',
  ],
  ['A284', 'a negative cool-down', issuer({ keys: { cooldown: -1 } }), 'issuer.keys.cooldown'],
  [
    'A284',
    'keys that are dropped before they are old',
    issuer({ keys: { maxAge: 600, maxStale: 300 } }),
    'issuer.keys.maxStale',
  ],
  ['A284', 'no URL to compare proofs with', { audience: 'urn:example:orders' }, 'publicUrl'],
  ['A284', 'a public URL with a query', { publicUrl: 'https://api.example.com/?x' }, 'publicUrl'],
  ['A284', 'no scope at all where scopes are named', rule({ scope: [] }), inRule('scope')],
  ['A284', 'two scopes in one', rule({ scope: 'a b' }), inRule('scope')],
  ['A284', 'a condition that is misspelt', rule({ scopes: ['a'] }), inRule('scopes')],
  ['A284', 'an empty list of agents', rule({ agents: [] }), inRule('agents')],
  ['A284', 'an intent without a workflow', rule({ intent: { step: 'a' } }), inRule('intent.workflow')],
  ['A284', 'a user of whom nothing is asked', rule({ user: {} }), inRule('user')],
  ['A284', 'a claim of which nothing is asked', rule({ claims: { '/a': {} } }), inRule('claims["/a"]')],
  ['A284', 'a claim that no pointer leads to', rule({ claims: { a: { equals: 1 } } }), inRule('claims.a')],
  [
    'A284',
    'a parameter that the path has not',
    rule({ claims: { '/a': { param: 'tenant' } } }),
    inRule('claims["/a"].param'),
  ],
  [
    'A284',
    'bounds that exclude each other',
    rule({ claims: { '/a': { min: 2, max: 1 } } }),
    inRule('claims["/a"]'),
  ],
  [
    'A284',
    'a chain that is deeper than allowed',
    rule({ delegation: { maxDepth: 1, chains: [['a', 'b', 'c']] } }),
    inRule('delegation.chains[0]'),
  ],
  [
    'A284',
    'a depth beyond that of the policy',
    rule({ delegation: { maxDepth: 5 } }),
    inRule('delegation.maxDepth'),
  ],
  ['A284', 'an access that is none', { routes: { 'GET /x': 'open' } }, 'routes["GET /x"]'],
  ['A284', 'a route without a method', { routes: { '/x': 'public' } }, 'routes["/x"]'],
  ['A284', 'a method in lower case', { routes: { 'get /x': 'public' } }, 'routes["get /x"]'],
  ['A284', 'a path that does not begin with a slash', { routes: { 'GET x': 'public' } }, 'routes["GET x"]'],
  ['A284', 'a path with an empty segment', { routes: { 'GET /a//b': 'public' } }, 'routes["GET /a//b"]'],
  ['A284', 'a path with a dot segment', { routes: { 'GET /a/../b': 'public' } }, 'routes["GET /a/../b"]'],
  ['A284', 'a path with an escape', { routes: { 'GET /%61': 'public' } }, 'routes["GET /%61"]'],
  ['A284', 'a "*" that is not last', { routes: { 'GET /*/x': 'public' } }, 'routes["GET /*/x"]'],
  [
    'A284',
    'a pattern of another router',
    { routes: { 'GET /:id(\\d+)': 'public' } },
    'routes["GET /:id(\\\\d+)"]',
  ],
  ['A284', 'a parameter twice', { routes: { 'GET /:a/:a': 'public' } }, 'routes["GET /:a/:a"]'],
  [
    'A284',
    'two routes of one shape',
    { routes: { 'GET /x/:a': 'public', 'GET,POST /x/:b': 'authenticated' } },
    'routes["GET,POST /x/:b"]',
  ],
  [
    'A284',
    'two routes that differ in letter case',
    { routes: { 'GET /x': 'public', 'GET /X': 'authenticated' } },
    'routes["GET /X"]',
  ],
  ['A284', 'a workflow with a step twice', { workflows: { w: { steps: ['a', 'a'] } } }, 'workflows.w.steps'],
  ['A284', 'a workflow without steps', { workflows: { w: { steps: [] } } }, 'workflows.w.steps'],
  [
    'A284',
    'thirteen optional steps',
    { workflows: { w: { steps: Array.from({ length: 13 }, (_, n) => ({ id: `s${n}`, optional: true })) } } },
    'workflows.w.steps',
  ],
  [
    'A284',
    'a step that its workflow has not',
    { ...rule({ intent: { workflow: 'w', step: 'b' } }), workflows: { w: { steps: ['a'] } } },
    inRule('intent.step'),
  ],
  ['A284', 'an agent of which nothing is asked', { agents: { 'agent-7': {} } }, 'agents["agent-7"]'],

  ['A107', 'an issuer on plain http', { issuer: 'http://as.example.com' }, 'issuer'],
  [
    'A107',
    'a key set on plain http',
    { issuer: { url: ISSUER, jwksUri: 'http://as.example.com/jwks' } },
    'issuer.jwksUri',
  ],
  [
    'A107',
    'a key set in a file',
    { issuer: { url: ISSUER, jwksUri: 'file:///etc/jwks.json' } },
    'issuer.jwksUri',
  ],
  [
    'A107',
    'a key set in a data URL',
    { issuer: { url: ISSUER, jwksUri: 'data:application/json,{}' } },
    'issuer.jwksUri',
  ],
  ['A107', 'an issuer with a user name', { issuer: 'https://user@as.example.com' }, 'issuer'],
  [
    'A107',
    'a key set with a password',
    { issuer: { url: ISSUER, jwksUri: 'https://u:p@as.example.com/jwks' } },
    'issuer.jwksUri',
  ],
  ...[
    'https://@as.example.com',
    'https:///as.example.com',
    'https:///u@as.example.com',
    'https://as\\.example.com',
  ].map((url): [string, string, object, string] => [
    'A107',
    `an issuer that readers of URLs take differently, ${url}`,
    { issuer: url },
    'issuer',
  ]),
  ['A107', 'an issuer that only looks like loopback', { issuer: 'http://127.0.0.1.example.com' }, 'issuer'],
  [
    'A107',
    'an issuer whose name begins with localhost',
    { issuer: 'http://localhost.example.com' },
    'issuer',
  ],
  ['A107', 'an issuer with a fragment', { issuer: 'https://as.example.com/#x' }, 'issuer'],
  ['A107', 'a metadata address', { issuer: 'http://169.254.169.254' }, 'issuer'],

  ['A076', 'an audience that is a pattern', { audience: /orders/ }, 'audience'],
  ['A076', 'an audience among others that is a pattern', { audience: [AUDIENCE, /^(a+)+$/] }, 'audience[1]'],
  ['A076', 'an issuer that is a pattern', { issuer: /as\.example/ }, 'issuer.url'],
  ['A224', 'a pattern with memory as agent', rule({ agents: [/agent/g] }), inRule('agents[0]')],
  ['A224', 'a sticky pattern as scope', rule({ scope: /orders/y }), inRule('scope')],
  [
    'A224',
    'a pattern as the value of a claim',
    rule({ claims: { '/a': { equals: /x/g } } }),
    inRule('claims["/a"].equals'),
  ],
  [
    'A224',
    'a function as the value of a claim',
    rule({ claims: { '/a': { equals: () => true } } }),
    inRule('claims["/a"].equals'),
  ],
]

describe('a wrong policy', () => {
  for (const [id, title, override, path] of wrongPolicies) {
    test(`${id} ${title}: ${path}`, () => {
      const { paths, message } = issuesOf(override)
      expect(paths).toContain(path)
      expect(message).toContain(path)
    })
  }

  test('A284 reports all mistakes at once', () => {
    const { paths } = issuesOf({
      issuer: 'http://as.example.com',
      token: { algorithms: ['none'], clockTolerance: -1 },
      mode: 'log',
      routes: { 'GET /x': { scope: [] }, x: 'public', 'GET /y': { claims: { '/a': { param: 'b' } } } },
    })
    expect(paths.sort()).toEqual(
      [
        'issuer',
        'mode',
        'routes.x',
        'routes["GET /x"].scope',
        'routes["GET /y"].claims["/a"].param',
        'token.algorithms[0]',
        'token.clockTolerance',
      ].sort(),
    )
  })

  test('A284 is not an object', () => {
    for (const policy of [undefined, null, 'policy', 1, [], new Map()]) {
      expect(() => createVerifier(policy as never)).toThrow(PolicyError)
    }
  })

  test('A284 a wrong rule of requireIntent throws at once', () => {
    expect(() => requireIntent({ scopes: 'a' } as never)).toThrow(PolicyError)
    expect(() => requireIntent({ scope: [] })).toThrow(/scope/)
  })

  test('A284 values that could be secrets are not quoted', () => {
    const secret = issuerKeys.es256.privateKey.export({ format: 'jwk' }).d as string
    const { message } = issuesOf(issuer({ jwks: { keys: [{ ...issuerKeys.es256.jwk, d: secret }] } }))
    expect(message).toContain('issuer.jwks')
    expect(message).not.toContain(secret)
  })
})

const wrongOptions: [title: string, options: object, path: string][] = [
  ['a replay store that is switched off', { replayStore: false }, 'options.replayStore'],
  ['no replay store', { replayStore: null }, 'options.replayStore'],
  ['a replay store that remembers nothing', { replayStore: {} }, 'options.replayStore'],
  ['revocations that are a list', { revocations: ['agent-7'] }, 'options.revocations'],
  ['a short secret', { nonceSecret: 'secret' }, 'options.nonceSecret'],
  ['a clock that is a time', { now: 1_790_000_000 }, 'options.now'],
  ['a fetch that is a URL', { fetch: ISSUER }, 'options.fetch'],
  ['an option that is misspelt', { onDecisions: () => {} }, 'options.onDecisions'],
]

describe('a wrong option', () => {
  for (const [title, options, path] of wrongOptions) {
    test(`A284 ${title}: ${path}`, () => {
      const { paths, message } = issuesOf({}, options)
      expect(paths).toEqual([path])
      expect(message).toContain(path)
    })
  }
})
