import { describe, expect, test } from 'vitest'
import { bearer, issuedBy, ordinaryToken } from '../../../fixtures/conformance/as-issued.js'
import { createKit, issuerJwks } from '../../../fixtures/kit.js'
import {
  type Cause,
  type IssuerPolicy,
  type Policy,
  PolicyError,
  type RouteRule,
  type VerifierOptions,
} from '../../../src/index.js'
import { verifierFor } from '../../support/verify.js'

const tenant = (name: string) => `https://login.example.com/${name}`
const entryOf = (url: string): IssuerPolicy => ({ url, jwks: issuerJwks(), profile: 'oauth' })

type Resolve = NonNullable<VerifierOptions['resolveIssuer']>

/**
 * A verifier with this `resolveIssuer`. `asked` are its calls, `ask` decides a request with a token of an
 * issuer.
 */
function verifierWith(resolve: Resolve, rule: RouteRule = {}, policy: Partial<Policy> = {}) {
  const kit = createKit()
  const asked: string[] = []
  const causes: (Cause | undefined)[] = []
  const { outcome } = verifierFor(
    kit,
    { ...issuedBy({}, rule), ...policy },
    {
      resolveIssuer: (iss) => {
        asked.push(iss)
        return resolve(iss)
      },
      onDecision: (_, { cause }) => void causes.push(cause),
    },
  )
  const ask = (iss: string, claims: object = {}) => outcome(bearer(ordinaryToken(kit, { iss, ...claims })))
  return { kit, asked, causes, ask, outcome }
}

describe('resolveIssuer', () => {
  test('returns the entry of an issuer that is not in the policy, and is called once', async () => {
    const { asked, ask } = verifierWith((iss) => entryOf(iss))
    expect(await ask(tenant('a'))).toBe('allow')
    expect(await ask(tenant('a'))).toBe('allow')
    expect(asked).toEqual([tenant('a')])
  })

  test('is not called for an issuer of the policy', async () => {
    const { asked, ask } = verifierWith(() => undefined)
    expect(await ask('https://as.example.com')).toBe('allow')
    expect(asked).toEqual([])
  })

  test('is called once for concurrent requests', async () => {
    const { asked, ask } = verifierWith(async (iss) => entryOf(iss))
    const outcomes = await Promise.all(Array.from({ length: 20 }, () => ask(tenant('a'))))
    expect(new Set(outcomes)).toEqual(new Set(['allow']))
    expect(asked).toHaveLength(1)
  })

  test('returns undefined: the issuer is not trusted, and is resolved again after 30 seconds', async () => {
    const { kit, asked, ask } = verifierWith(() => undefined)
    expect([await ask(tenant('a')), await ask(tenant('a'))]).toEqual([
      'issuer_not_trusted',
      'issuer_not_trusted',
    ])
    expect(asked).toHaveLength(1)
    kit.advance(31)
    await ask(tenant('a'))
    expect(asked).toHaveLength(2)
  })

  test.each<[what: string, entry: IssuerPolicy]>([
    ['of another url', entryOf(tenant('b'))],
    ['of a url that differs by a slash', entryOf(`${tenant('a')}/`)],
    ['whose name is another', { ...entryOf(tenant('a')), name: 'somebody' }],
  ])('an entry %s does not make the issuer trusted', async (_, entry) => {
    expect(await verifierWith(() => entry).ask(tenant('a'))).toBe('issuer_not_trusted')
  })

  test('an entry can have a name in place of a url', async () => {
    const { ask } = verifierWith(() => ({ name: 'project-7', jwks: issuerJwks(), profile: 'oauth' }))
    expect(await ask('project-7')).toBe('allow')
  })

  test.each<[what: string, resolve: Resolve, reason: RegExp]>([
    [
      'a throw',
      () => {
        throw new Error('the tenants cannot be read')
      },
      /the tenants cannot be read/,
    ],
    ['a rejection', () => Promise.reject(new Error('no tenants')), /no tenants/],
    ['an entry with a typo', (iss) => Object.assign(entryOf(iss), { profil: 'oauth' }), /wrong in one place/],
    [
      'an entry that a policy could not have',
      (iss) => ({ ...entryOf(iss), token: { types: ['JWT'] }, audience: 'client' }),
      /wrong in one place/,
    ],
    [
      'an entry that is undefined where it narrows',
      (iss) => Object.assign(entryOf(iss), { audience: undefined }),
      /wrong in one place/,
    ],
  ])('%s is 503, and is not cached', async (_, resolve, reason) => {
    const { asked, causes, ask } = verifierWith(resolve)
    expect([await ask(tenant('a')), await ask(tenant('a'))]).toEqual(['keys_unavailable', 'keys_unavailable'])
    expect(asked).toHaveLength(2)
    expect(causes[0]).toMatchObject({ claim: 'iss', found: tenant('a'), unverified: true })
    expect(causes[0]?.reason).toMatch(/^resolveIssuer failed: /)
    expect(causes[0]?.reason).toMatch(reason)
  })

  test('a promise that never settles is 503, and the next request calls again', async () => {
    let isDown = true
    const { asked, causes, ask } = verifierWith((iss) => (isDown ? new Promise(() => {}) : entryOf(iss)))
    const both = await Promise.all([ask(tenant('a')), ask(tenant('a'))])
    expect([both, asked]).toEqual([['keys_unavailable', 'keys_unavailable'], [tenant('a')]])
    expect(causes[0]?.reason).toMatch(/^resolveIssuer failed: /)
    isDown = false
    expect(await ask(tenant('a'))).toBe('allow')
    expect(asked).toHaveLength(2)
  })

  test('a removed issuer is refused after five minutes, cached tokens included', async () => {
    let isThere = true
    const { kit, outcome } = verifierWith((iss) => (isThere ? entryOf(iss) : undefined))
    const long = { iss: tenant('a'), exp: kit.seconds + 280 }
    expect(await outcome(bearer(ordinaryToken(kit, long)))).toBe('allow')
    isThere = false
    const token = ordinaryToken(kit, { ...long, iat: kit.seconds + 200, exp: kit.seconds + 450 })
    kit.advance(200)
    expect(await outcome(bearer(token))).toBe('allow')
    kit.advance(101)
    expect(await outcome(bearer(token))).toBe('issuer_not_trusted')
  })

  test('an entry applies to its own issuer only', async () => {
    const { ask } = verifierWith((iss) => ({ ...entryOf(iss), token: { maxLifetime: 86_400 } }))
    const exp = createKit().seconds + 80_000
    expect(await ask(tenant('a'), { exp })).toBe('allow')
    expect(await ask('https://as.example.com', { exp })).toBe('token_lifetime_exceeded')
  })

  test('made-up names do not evict an issuer', async () => {
    const { asked, ask } = verifierWith((iss) => (iss === tenant('a') ? entryOf(iss) : undefined))
    expect(await ask(tenant('a'))).toBe('allow')
    for (let at = 0; at < 1100; at += 1) await ask(tenant(`made-up-${at}`))
    expect(await ask(tenant('a'))).toBe('allow')
    expect(asked.filter((iss) => iss === tenant('a'))).toHaveLength(1)
  })

  test('pending calls for unknown names do not block a known issuer', async () => {
    let answer = (_: undefined) => {}
    const slow = new Promise<undefined>((resolve) => {
      answer = resolve
    })
    const { kit, ask } = verifierWith((iss) => (iss === tenant('a') ? entryOf(iss) : slow))
    expect(await ask(tenant('a'))).toBe('allow')
    kit.advance(301)
    const waiting = Array.from({ length: 64 }, (_, at) => ask(tenant(`made-up-${at}`)))
    expect(await ask(tenant('one-too-many'))).toBe('keys_unavailable')
    expect(await ask(tenant('a'))).toBe('allow')
    answer(undefined)
    expect(new Set(await Promise.all(waiting))).toEqual(new Set(['issuer_not_trusted']))
  })

  test('is not called for a name that no entry can have', async () => {
    const { asked, ask } = verifierWith((iss) => entryOf(iss))
    for (const iss of [
      '',
      'a b',
      'https://login.example.com/\n',
      'é',
      `https://a.example/${'x'.repeat(2048)}`,
    ])
      expect(await ask(iss)).toBe('issuer_not_trusted')
    expect(asked).toEqual([])
  })

  test('a token of an unknown issuer does not count as foreign while resolveIssuer fails', async () => {
    const failing = verifierWith(() => Promise.reject(new Error('down')), { anonymous: 'foreign' })
    expect(await failing.ask(tenant('a'))).toBe('keys_unavailable')
    const knowing = verifierWith((iss) => (iss === tenant('a') ? entryOf(iss) : undefined), {
      anonymous: 'foreign',
    })
    expect(await knowing.ask(tenant('a'))).toBe('allow')
    expect(await knowing.ask(tenant('b'))).toBe('anonymous')
  })

  test('ids are qualified, also for issuers that are resolved later', async () => {
    const { ask } = verifierWith((iss) => entryOf(iss), { agents: [`${tenant('a')} agent-7`] })
    expect(await ask(tenant('a'))).toBe('allow')
    expect(await ask(tenant('b'))).toBe('agent_not_allowed')
    expect(() => verifierWith((iss) => entryOf(iss), { agents: ['agent-7'] })).toThrow(PolicyError)
  })

  test('proof.required can be false if only resolved issuers have profile "oauth"', async () => {
    const issuer = { url: 'https://as.example.com', jwks: issuerJwks() }
    expect(await verifierWith((iss) => entryOf(iss), {}, { issuer }).ask(tenant('a'))).toBe('allow')
  })
})
