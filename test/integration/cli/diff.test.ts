import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Policy, RouteRule } from '../../../src/index.js'
import { type BuiltCommand, buildCommand } from '../../support/cli/command.js'

let command: BuiltCommand
beforeAll(() => {
  command = buildCommand()
}, 60_000)
afterAll(() => command.remove())

const base: Policy = {
  issuer: 'https://as.example.com',
  audience: 'https://orders.example.com',
  routes: { 'GET /orders/:id': { scope: 'orders:read' }, 'GET /health': 'public' },
}
const workflows = { refund: { steps: ['check', 'issue'] } }
const checksum = (digit: string) => `sha256:${digit.repeat(64)}`

const withRule = (rule: RouteRule, more: Partial<Policy> = {}): Policy => ({
  ...base,
  ...more,
  routes: { ...base.routes, 'GET /orders/:id': rule },
})

interface Change {
  readonly effect: string
  readonly request: string
  readonly by: string
  readonly before: { readonly verdict: string; readonly key?: string }
  readonly after: { readonly verdict: string; readonly key?: string }
}

let files = 0
async function diff(before: Policy, after: Policy): Promise<{ status: number | null; changes: Change[] }> {
  files += 1
  const paths = [command.write(`old-${files}.json`, before), command.write(`new-${files}.json`, after)]
  const { status, stdout, stderr } = await command.run(['diff', ...paths, '--json'])
  expect(stderr).toBe('')
  return { status, changes: JSON.parse(stdout) as Change[] }
}

/** Each pair: the stricter policy, the weaker one, and what an example has to say. */
const pairs: readonly (readonly [name: string, strict: Policy, weak: Policy, by: RegExp | string])[] = [
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
  ['undeclared paths', base, { ...base, unmatched: 'authenticate' }, 'with a token'],
  ['a key more', base, { ...base, routes: { ...base.routes, 'GET /new': 'authenticated' } }, 'with a token'],
  [
    'a wider key',
    { ...base, routes: { 'GET /a/:id': { scope: 'a' }, 'GET /a/b': { scope: 'b' } } },
    { ...base, routes: { 'GET /a/:id': { scope: 'a' } } },
    'with the scope a alone',
  ],
]

describe('ajwt diff', () => {
  it.concurrent.each(pairs)(
    '%s: weaker one way, stricter the other',
    async (_, strict, weak, by) => {
      const { status, changes } = await diff(strict, weak)
      expect([status, changes.some(({ effect }) => effect === 'weaker')]).toEqual([1, true])
      const told = changes.filter(({ effect }) => effect === 'weaker').map((change) => change.by)
      expect(
        told.some((text) => (typeof by === 'string' ? text.includes(by) : by.test(text))),
        told.join('\n'),
      ).toBe(true)
      const back = await diff(weak, strict)
      expect(back.changes.some(({ effect }) => effect === 'stricter')).toBe(true)
      if (!changes.some(({ effect }) => effect === 'stricter')) expect(back.status).toBe(0)
    },
    60_000,
  )

  it('finds nothing between a policy and itself, nor between two spellings of it', async () => {
    for (const [, strict, weak] of pairs) expect(strict).not.toEqual(weak)
    expect(await diff(base, base)).toEqual({ status: 0, changes: [] })
    const { 'GET /health': health, ...routes } = base.routes as Record<
      string,
      Policy['routes'][`GET /${string}`]
    >
    const other = {
      ...base,
      token: { maxLifetime: 300 },
      routes: { 'GET /health': health, ...routes },
    } as Policy
    expect(await diff(base, other)).toEqual({ status: 0, changes: [] })
  }, 60_000)

  it('names the key of each policy beside each example', async () => {
    const routes = { 'GET /a/:id': { scope: 'a' }, 'GET /a/b': { scope: 'b' } } as const
    const { changes } = await diff({ ...base, routes }, { ...base, routes: { 'GET /a/:id': { scope: 'a' } } })
    expect(changes).toContainEqual({
      effect: 'weaker',
      request: 'GET /a/b',
      by: 'with a token that meets the new rule',
      before: { verdict: 'scope_insufficient', key: 'GET /a/b' },
      after: { verdict: 'allow', key: 'GET /a/:id' },
    })
    const files = [
      command.write('old.json', { ...base, routes }),
      command.write('new.json', { ...base, routes: { 'GET /a/:id': { scope: 'a' } } }),
    ]
    const { status, stdout, stderr } = await command.spawn(['diff', ...files])
    expect(status).toBe(1)
    expect(stdout).toContain('old: denied, scope_insufficient, by "GET /a/b"')
    expect(stdout).toContain('new: allow, by "GET /a/:id"')
    expect(stderr).toMatch(/example requests are let through that were denied/)
  }, 60_000)

  it('refuses what is no policy', async () => {
    const wrong = command.write('wrong.json', { ...base, audience: undefined })
    const { status, stderr } = await command.run(['diff', command.write('right.json', base), wrong])
    expect([status, stderr]).toEqual([2, expect.stringContaining('audience: is missing')])
  })
})
