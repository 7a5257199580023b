import { describe, expect, test } from 'vitest'
import { defaultPolicy } from '../../../fixtures/conformance/policy.js'
import { ISSUER, issuerJwks } from '../../../fixtures/kit.js'
import { requireIntent } from '../../../middleware/express.js'
import { createVerifier, type Policy, PolicyError } from '../../../src/index.js'
import { registeredMethods } from '../../../src/policy/methods.js'

function issuesOf(policy: object): Record<string, string> {
  try {
    createVerifier(policy as Policy)
  } catch (error) {
    if (error instanceof PolicyError)
      return Object.fromEntries(error.issues.map(({ path, message }) => [path, message]))
    throw error
  }
  return {}
}

const rule = (value: unknown) => ({ routes: { 'GET /x/:id': value } })
const inRule = (path: string) => `routes["GET /x/:id"].${path}`
const workflows = { refund: { steps: ['look', 'issue'] } }

const messages: (readonly [what: string, override: object, path: string, message: string | RegExp])[] = [
  [
    'an environment variable that is not set, for the issuer',
    { issuer: undefined },
    'issuer',
    /^is undefined \(an environment variable that is not set\?\): it must be an issuer URL such as "https:\/\/as\.example\.com", or \{ url, .*\}, or an array of these$/,
  ],
  [
    'an environment variable that is not set, for the audience',
    { audience: undefined },
    'audience',
    'is undefined (an environment variable that is not set?): it must be a string (one audience), or an array of these',
  ],
  [
    'an environment variable that is not set, inside of the issuer',
    { issuer: { url: undefined } },
    'issuer.url',
    'is undefined (an environment variable that is not set?): it must be a string',
  ],
  ...(
    [
      ['scope', { scope: undefined }],
      ['agents', { scope: 'a', agents: undefined }],
      ['delegation.chains', { delegation: { maxDepth: 1, chains: undefined } }],
      ['user.acr', { user: { maxAge: 60, acr: undefined } }],
      ['claims["/x"].max', { claims: { '/x': { exists: true, max: undefined } } }],
    ] as const
  ).map(
    ([path, value]) =>
      [
        `an environment variable that is not set, in a rule: ${path}`,
        rule(value),
        inRule(path),
        'is undefined (an environment variable that is not set?): set it, or remove the key',
      ] as const,
  ),
  [
    'an environment variable that is not set, for the checksums of an agent',
    { agents: { refunder: { registrationIds: ['reg-1'], checksums: undefined } } },
    'agents.refunder.checksums',
    'is undefined (an environment variable that is not set?): set it, or remove the key',
  ],
  ['an issuer that is a number', { issuer: 5 }, 'issuer', /^must be an issuer URL .*, not a number$/],
  [
    'a key of the policy with a typo',
    { audeince: 'x' },
    'audeince',
    'is not a key here; did you mean "audience"?',
  ],
  [
    'a key of a part with a typo',
    { proof: { maxage: 60 } },
    'proof.maxage',
    'is not a key here; did you mean "maxAge"?',
  ],
  [
    'a key of a rule with a typo',
    rule({ scopes: 'a' }),
    inRule('scopes'),
    'is not a key here; did you mean "scope"?',
  ],
  [
    'a key like no other',
    rule({ intent: { workflow: 'w', colour: 'red' } }),
    inRule('intent.colour'),
    'is not a key here; keys here: "workflow", "step"',
  ],
  [
    'two scopes in one',
    rule({ scope: 'a b' }),
    inRule('scope'),
    "contains a space: use an array, ['a', 'b']",
  ],
  [
    'the same in a list',
    rule({ scope: ['a b'] }),
    inRule('scope[0]'),
    "contains a space: use an array, ['a', 'b']",
  ],
  ['agents that are no list', rule({ agents: 'a' }), inRule('agents'), 'must be an array, not this string'],
  [
    'a part that is missing',
    rule({ intent: {} }),
    inRule('intent.workflow'),
    'is missing: it must be a string',
  ],
  [
    'an access with a typo',
    rule('Public'),
    'routes["GET /x/:id"]',
    'must be "public", "authenticated", or a rule such as { scope: "orders:read" }, not this string',
  ],
  [
    'a word with a typo',
    { mode: 'obsrve' },
    'mode',
    'must be "enforce" or "observe", not this string; did you mean "observe"?',
  ],
  [
    'a time in milliseconds',
    { token: { maxLifetime: 300_000 } },
    'token.maxLifetime',
    'must be 1 to 86400 seconds',
  ],
  ['a time as text', { proof: { maxAge: '60' } }, 'proof.maxAge', 'must be a number, not this string'],
  [
    'a workflow that is not listed',
    { ...rule({ intent: { workflow: 'refnud' } }), workflows },
    inRule('intent.workflow'),
    '"refnud" is not in the policy\'s workflows, so its step order would not be checked; did you mean "refund"?',
  ],
  [
    'a workflow that every object inherits',
    { ...rule({ intent: { workflow: 'constructor' } }), workflows },
    inRule('intent.workflow'),
    '"constructor" is not in the policy\'s workflows, so its step order would not be checked; workflow here: "refund"',
  ],
  [
    'a workflow where the list is empty',
    { ...rule({ intent: { workflow: 'refund' } }), workflows: {} },
    inRule('intent.workflow'),
    '"refund" is not in the policy\'s workflows, so its step order would not be checked',
  ],
  [
    'a step that is not listed',
    { ...rule({ intent: { workflow: 'refund', step: ['look', 'pay'] } }), workflows },
    inRule('intent.step'),
    '"pay" is not a step of "refund"; steps here: "look", "issue"',
  ],
  [
    'a parameter that the path has not',
    rule({ claims: { '/order': { param: 'di' } } }),
    inRule('claims["/order"].param'),
    'the path has no parameter ":di"; did you mean "id"?',
  ],
  [
    'a value that JSON has not',
    rule({ claims: { '/a': { equals: () => 1 } } }),
    inRule('claims["/a"].equals'),
    /^must be a JSON value/,
  ],
  [
    'a policy that nests without end',
    rule({ claims: { '/a': { equals: nest(60) } } }),
    `routes["GET /x/:id"].claims["/a"].equals${'[0]'.repeat(35)}`,
    'nests more than 40 levels',
  ],
]

function nest(levels: number): unknown {
  return levels === 0 ? 1 : [nest(levels - 1)]
}

describe('a message says what is wrong and what to write', () => {
  test.each(messages)('%s', (_, override, path, message) => {
    const found = issuesOf({ ...defaultPolicy(), ...override })
    if (typeof message === 'string') expect(found[path]).toBe(message)
    else expect(found[path]).toMatch(message)
  })

  test('a policy without routes, and without anything', () => {
    const { routes, ...rest } = defaultPolicy()
    expect(routes).toBeDefined()
    expect(issuesOf(rest)).toEqual({ routes: 'is missing: it must be an object' })
    expect(Object.keys(issuesOf({})).sort()).toEqual(['audience', 'issuer', 'routes'])
  })

  test('a rule of requireIntent, too', () => {
    expect(() => requireIntent({ scope: 'a b' })).toThrow("scope: contains a space: use an array, ['a', 'b']")
    expect(() => requireIntent({ agent: ['a'] } as never)).toThrow('did you mean "agents"?')
  })
})

describe('the method of a route', () => {
  const messageOf = (key: string) =>
    issuesOf({ ...defaultPolicy(), routes: { [key]: 'public' } })[`routes["${key}"]`]

  test.each(registeredMethods)('%s is registered', (method) => {
    expect(messageOf(`${method} /x`)).toBeUndefined()
  })

  test.each([
    ['ALL', '"*" stands for every method'],
    ['any', '"*" stands for every method'],
    ['GTE', 'did you mean "GET"?'],
    ['get', 'did you mean "GET"?'],
    ['POST,DELTE', '"DELTE" is not a registered HTTP method; did you mean "DELETE"?'],
    ['FOO', 'write one in upper case, several as "GET,POST", or "*" for every method'],
    ['PURGE', '"PURGE" is not a registered HTTP method'],
    ['*,GET', '"*" stands for every method'],
  ])('%s is not', (method, message) => {
    expect(messageOf(`${method} /x`)).toContain(message)
  })
})

test('a policy may hold $schema, which changes nothing', () => {
  const policy = { $schema: 'https://ajwt.example/policy.schema.json', ...defaultPolicy() }
  expect(issuesOf(policy)).toEqual({})
  expect(createVerifier(policy).policy.$schema).toBe(policy.$schema)
  expect(issuesOf({ ...policy, $schema: 1 })).toEqual({ $schema: 'must be a string, not a number' })
})

test('metadata and challenge name the algorithms that proofs may use', () => {
  const five = ['ES256', 'EdDSA', 'Ed25519', 'PS256', 'RS256']
  const byDefault = createVerifier(defaultPolicy()).metadata()
  expect(byDefault.dpop_signing_alg_values_supported).toEqual(five)
  const added = createVerifier({ ...defaultPolicy(), proof: { algorithms: ['ES256', 'ES512'] } }).metadata()
  expect(added.dpop_signing_alg_values_supported).toEqual(['ES256', 'ES512'])
})

test('the policy of a verifier is a deeply frozen copy, and the input is left alone', () => {
  const input = { ...defaultPolicy(), issuer: { url: ISSUER, jwks: issuerJwks() } }
  const before = structuredClone(input)
  const { policy } = createVerifier(input)
  const objects = (value: unknown): object[] =>
    typeof value === 'object' && value !== null ? [value, ...Object.values(value).flatMap(objects)] : []
  for (const object of objects(policy)) expect(Object.isFrozen(object)).toBe(true)
  for (const object of objects(input)) expect(Object.isFrozen(object)).toBe(false)
  expect(input).toEqual(before)
  expect(JSON.parse(JSON.stringify(policy))).toEqual(JSON.parse(JSON.stringify(input)))
})
