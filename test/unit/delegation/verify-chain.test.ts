import { verify as verifySignature } from 'node:crypto'
import fc from 'fast-check'
import { afterEach, describe, expect, test, vi } from 'vitest'
import {
  delegatedToken,
  mintAssertion,
  mintChain,
  type Party,
  parties,
  threeHops,
} from '../../../fixtures/delegation-kit.js'
import { mapSegment } from '../../../fixtures/jws-spellings.js'
import { base64url, createKit, type WireRequest } from '../../../fixtures/kit.js'
import { verifierFor } from '../../support/verify.js'

// Counts the signatures that the library verifies. The function itself runs. The fixtures only sign.
vi.mock('node:crypto', async (original) => {
  const actual = await original<typeof import('node:crypto')>()
  return { ...actual, verify: vi.fn(actual.verify) }
})

/** The outcome of a request, and the number of signatures that were verified for it. */
async function costOf(request: WireRequest, outcome: (request: WireRequest) => Promise<string>) {
  vi.mocked(verifySignature).mockClear()
  const result = await outcome(request)
  return { result, signatures: vi.mocked(verifySignature).mock.calls.length }
}

afterEach(() => vi.mocked(verifySignature).mockClear())

describe('the signature checks of a chain', () => {
  test('one each for the token, the proof and each hop; with caches, one for the proof', async () => {
    const kit = createKit()
    const { outcome } = verifierFor(kit)
    const token = delegatedToken(kit, await mintChain(kit))
    expect(await costOf(kit.call({ token }), outcome)).toEqual({ result: 'allow', signatures: 5 })
    expect(await costOf(kit.call({ token }), outcome)).toEqual({ result: 'allow', signatures: 1 })
  })

  test('a new token with a cached chain: no hop is verified again', async () => {
    const kit = createKit()
    const { outcome } = verifierFor(kit)
    const chain = await mintChain(kit)
    await outcome(kit.call({ token: delegatedToken(kit, chain) }))
    const again = kit.call({ token: delegatedToken(kit, chain) })
    expect(await costOf(again, outcome)).toEqual({ result: 'allow', signatures: 2 })
  })

  test('a chain that extends cached hops: only the new hop is verified', async () => {
    const kit = createKit()
    const { outcome } = verifierFor(kit)
    const [first = '', second = '', third = ''] = await mintChain(kit)
    await outcome(kit.call({ token: delegatedToken(kit, [first, second, third]) }))
    const hop = { from: parties.researcher, to: parties.worker, index: 2, prev: second }
    const token = delegatedToken(kit, [first, second, await mintAssertion(kit, hop)])
    expect(await costOf(kit.call({ token }), outcome)).toEqual({ result: 'allow', signatures: 3 })
  })

  test('another verifier does not use the cache of the first', async () => {
    const kit = createKit()
    const token = delegatedToken(kit, await mintChain(kit))
    await verifierFor(kit).outcome(kit.call({ token }))
    const { outcome } = verifierFor(kit)
    expect(await costOf(kit.call({ token }), outcome)).toEqual({ result: 'allow', signatures: 5 })
  })

  test('an invalid signature is never cached as valid', async () => {
    const kit = createKit()
    const { outcome } = verifierFor(kit)
    const wrong = { 2: { signer: parties.stranger.key } }
    const token = delegatedToken(kit, await mintChain(kit, threeHops, wrong))
    for (let times = 0; times < 3; times++) {
      expect(await outcome(kit.call({ token }))).toBe('delegation_signature_invalid')
    }
  })

  test.each<[string, (chain: string[]) => unknown, string]>([
    ['too deep', (chain) => [...chain, ...chain], 'delegation_too_deep'],
    ['three thousand hops', () => Array(3000).fill(''), 'delegation_too_deep'],
    ['unreadable at the end', ([a, b]) => [a, b, 'x'], 'delegation_malformed'],
    ['out of order', ([a, b, c]) => [b, a, c], 'delegation_link_broken'],
    ['cut short', ([a, b]) => [a, b], 'delegation_link_broken'],
  ])('%s: refused before any hop is verified', async (_, arrange, code) => {
    const kit = createKit()
    const { outcome } = verifierFor(kit)
    const token = delegatedToken(kit, arrange(await mintChain(kit)))
    expect(await costOf(kit.call({ token }), outcome)).toEqual({ result: code, signatures: 2 })
  })

  test.each<[string, Parameters<typeof mintChain>[2], string]>([
    ['scope', { 2: { claims: { scope: 'payroll' } } }, 'delegation_scope_widened'],
    ['time', { 2: { claims: { exp: 1 } } }, 'delegation_expired'],
    ['audience', { 2: { claims: { aud: 'x' } } }, 'delegation_context_mismatch'],
    ['jti', { 0: { claims: { jti: 'x' } }, 2: { claims: { jti: 'x' } } }, 'delegation_loop'],
  ])('wrong %s: refused before any hop is verified', async (_, hops, code) => {
    const kit = createKit()
    const { outcome } = verifierFor(kit)
    const token = delegatedToken(kit, await mintChain(kit, threeHops, hops))
    expect(await costOf(kit.call({ token }), outcome)).toEqual({ result: code, signatures: 2 })
  })
})

describe('a chain of three hops', () => {
  const kit = createKit()
  const { outcome } = verifierFor(kit)
  const honest = mintChain(kit)
  const refused = async (delegation: unknown) =>
    expect(await outcome(kit.call({ token: delegatedToken(kit, delegation) }))).toMatch(/^delegation_/)

  test('is allowed unchanged', async () => {
    expect(await outcome(kit.call({ token: delegatedToken(kit, await honest) }))).toBe('allow')
  })

  test('is refused after a change of any bit of a segment', async () => {
    const chain = await honest
    await fc.assert(
      fc.asyncProperty(fc.nat(2), fc.constantFrom(0, 1, 2), fc.nat(), async (index, segment, position) => {
        const changed = chain.map((text, at) =>
          at === index ? flipBit(text, segment as 0 | 1 | 2, position) : text,
        )
        await refused(changed)
      }),
      { numRuns: 400 },
    )
  })

  test('is refused after a change of any bit of a signature, with later hops signed for the changed one', async () => {
    // All later hops have valid signatures: only the changed signature is wrong.
    await fc.assert(
      fc.asyncProperty(fc.nat(1), fc.nat(), async (index, position) => {
        const [first = '', second = ''] = await honest
        const changed = [first, second]
        changed[index] = flipBit(changed[index] as string, 2, position)
        for (let next = index + 1; next < 3; next++) {
          const [from, to] = threeHops.slice(next, next + 2) as [Party, Party]
          changed[next] = await mintAssertion(kit, {
            from,
            to,
            index: next,
            prev: changed[next - 1] as string,
          })
        }
        expect(await outcome(kit.call({ token: delegatedToken(kit, changed) }))).toBe(
          'delegation_signature_invalid',
        )
      }),
      { numRuns: 100 },
    )
  })

  test('is refused after a change of any character of the text', async () => {
    const chain = await honest
    const character = fc.constantFrom(...'AZaz09-_.=+/ \n')
    await fc.assert(
      fc.asyncProperty(fc.nat(2), fc.nat(), character, async (index, position, other) => {
        const text = chain[index] as string
        const at = position % text.length
        fc.pre(text[at] !== other)
        await refused(chain.with(index, text.slice(0, at) + other + text.slice(at + 1)))
      }),
      { numRuns: 300 },
    )
  })

  test('is refused with a hop removed, swapped, repeated or moved', async () => {
    const chain = await honest
    const places = [0, 1, 2]
    for (const index of places) {
      await refused(chain.toSpliced(index, 1))
      for (const other of [...places, 3]) await refused(chain.toSpliced(other, 0, chain[index] as string))
      for (const other of places.filter((place) => place !== index)) {
        await refused(chain.with(index, chain[other] as string))
        await refused(chain.with(index, chain[other] as string).with(other, chain[index] as string))
      }
    }
  })

  test('is refused with a hop of another run', async () => {
    const chain = await honest
    const other = await mintChain(kit)
    for (let taken = 1; taken < 7; taken++) {
      await refused(chain.map((text, index) => ((taken >> index) & 1 ? (other[index] as string) : text)))
    }
    expect(await outcome(kit.call({ token: delegatedToken(kit, other) }))).toBe('allow')
  })

  test('is refused with a hop that another agent than its delegator signed', async () => {
    const chain = await honest
    for (const [index, text] of chain.entries()) {
      const [header = '', payload = ''] = text.split('.')
      for (const signer of Object.values(parties)) {
        const [from, to] = threeHops.slice(index, index + 2) as [Party, Party]
        if (signer.key.alg !== from.key.alg || signer.id === from.id) continue
        const forged = await mintAssertion(kit, { from, to, index }, { signer: signer.key })
        await refused(chain.with(index, `${header}.${payload}.${forged.split('.')[2]}`))
      }
    }
  })
})

test('the grant lists the hops in order, and cannot be changed by a handler', async () => {
  const kit = createKit()
  const { verify } = verifierFor(kit)
  const chain = await mintChain(kit)
  const token = delegatedToken(kit, chain)
  const [first, second] = [await verify(kit.call({ token })), await verify(kit.call({ token }))]
  if (first.outcome !== 'allow' || second.outcome !== 'allow') throw new Error('refused')
  const { delegation } = first.grant
  expect(delegation.map(({ from, to }) => [from, to])).toEqual([
    ['supervisor', 'planner'],
    ['planner', 'researcher'],
    ['researcher', 'agent-7'],
  ])
  const claims = chain.map((text) =>
    JSON.parse(Buffer.from(text.split('.')[1] as string, 'base64url').toString()),
  )
  expect(delegation.map(({ tokenId }) => tokenId)).toEqual(claims.map(({ jti }) => jti))
  expect(delegation.map(({ expiresAt }) => expiresAt)).toEqual(claims.map(({ exp }) => exp))
  expect(delegation.map(({ scopes }) => scopes.join(' '))).toEqual(claims.map(({ scope }) => scope))
  expect(() => (delegation as unknown[]).push('x')).toThrow(TypeError)
  expect(() => ((delegation[0]?.scopes as string[])[0] = 'admin')).toThrow(TypeError)
  expect(() => Object.assign(delegation[0] as object, { to: 'x' })).toThrow(TypeError)
  expect(second.grant.delegation).toEqual(delegation)
})

/** Changes one bit of the decoded segment. The encoding stays canonical. */
function flipBit(text: string, segment: 0 | 1 | 2, position: number): string {
  return mapSegment(text, segment, (encoded) => {
    const bytes = Buffer.from(encoded, 'base64url')
    const bit = position % (bytes.length * 8)
    bytes[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7))
    return base64url(bytes)
  })
}
