import { Buffer } from 'node:buffer'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { AUDIENCE, createKit, issuerKeys, type WireRequest } from '../../fixtures/kit.js'
import { verifierFor } from '../support/verify.js'

/** The caches that were made, so that what they reckon can be compared with what they take. */
const caches = vi.hoisted(
  () =>
    [] as { readonly cache: { readonly count: number; readonly size: number }; readonly maxSize: number }[],
)

vi.mock('../../src/lib/cache.js', async (load) => {
  const original = await load<typeof import('../../src/lib/cache.js')>()
  class Watched<T extends object | true> extends original.Cache<T> {
    constructor(maxSize: number, sizeOf: (value: T) => number) {
      super(maxSize, sizeOf)
      caches.push({ cache: this, maxSize })
    }
  }
  return { ...original, Cache: Watched }
})

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** Bytes on the heap that something still holds. */
function heap(): number {
  collect()
  collect()
  return process.memoryUsage().heapUsed
}

const reckoned = () => caches.reduce((sum, { cache }) => sum + cache.size, 0)

const kit = createKit()
/** They keep nothing, so that all that grows is a cache. */
const options = { replayStore: { remember: () => true }, revocations: { isRevoked: () => false } }

beforeEach(() => {
  caches.length = 0
})

/** As a socket would bring it: one flat string a field, which shares no memory with another. */
function flat({ method, url, headers }: WireRequest): WireRequest {
  const copy = (text: string) => Buffer.from(text, 'latin1').toString('latin1')
  return { method, url, headers: headers.map(([name, value]) => [name, copy(value)]) }
}

/** Content of a token of 15 KB of text that takes far more memory. */
const contents: readonly [what: string, claims: () => Record<string, unknown>][] = [
  ['empty objects', () => ({ authorization_details: Array.from({ length: 3600 }, () => ({})) })],
  ['empty arrays', () => ({ authorization_details: Array.from({ length: 3600 }, () => []) })],
  [
    'objects of a shape that no other has',
    () => ({ authorization_details: Array.from({ length: 800 }, () => ({ [kit.id().slice(0, 5)]: {} })) }),
  ],
  [
    'scopes',
    () => ({ scope: Array.from({ length: 2700 }, (_, n) => n.toString(36).padStart(3, '-')).join(' ') }),
  ],
]

describe('the cache of verified tokens takes no more memory than it reckons with', () => {
  test.each(contents)('for tokens full of %s', async (_, claims) => {
    const { outcome } = verifierFor(kit, { routes: { 'GET /orders/:id': 'authenticated' } }, options)
    const call = () => flat(kit.call({ token: { claims: claims() } }))
    expect(await outcome(call())).toBe('allow')
    const before = heap()
    const reckonedBefore = reckoned()
    for (let made = 0; made < 60; made++) expect(await outcome(call())).toBe('allow')
    const grown = heap() - before
    expect(grown).toBeLessThan(1.15 * (reckoned() - reckonedBefore))
    // It does keep them, or this would show nothing.
    expect(grown).toBeGreaterThan(60 * 15_000)
  })

  test('and has a limit', () => {
    verifierFor(kit)
    const mebibytes = caches.map(({ maxSize }) => maxSize / 1024 / 1024)
    expect(mebibytes).toEqual([32, 128, 8])
  })
})

test('a token is kept, not the blanks before it in its field', async () => {
  const { outcome } = verifierFor(kit, { routes: { 'GET /orders/:id': 'authenticated' } }, options)
  const grownBy = async (blanks: number, count: number) => {
    const before = heap()
    for (let n = 0; n < count; n++) {
      const { method, url, headers } = kit.call()
      const padded = headers.map(([name, value]): WireRequest['headers'][number] => [
        name,
        value.replace('DPoP ', `DPoP${' '.repeat(blanks)}`),
      ])
      expect(await outcome(flat({ method, url, headers: padded }))).toBe('allow')
    }
    return (heap() - before) / count
  }
  await grownBy(1, 50)
  const tight = await grownBy(1, 200)
  expect(await grownBy(9000, 200)).toBeLessThan(tight + 2500)
})

test('the header of a proof is kept, not the proof around it', async () => {
  const { outcome } = verifierFor(kit, {}, options)
  const token = kit.token()
  const grownBy = async (pad: string, count: number) => {
    const before = heap()
    for (let n = 0; n < count; n++) {
      const proof = { header: { n: `${pad.length}-${n}` }, claims: { pad } }
      expect(await outcome(flat(kit.call({ token, proof })))).toBe('allow')
    }
    return (heap() - before) / count
  }
  // Objects that are made once are made now.
  await grownBy('', 50)
  const small = await grownBy('', 300)
  const large = await grownBy('x'.repeat(5500), 300)
  expect(large).toBeLessThan(small + 2500)
  expect(small).toBeLessThan(5000)
})

describe('the header of the last token that verified', () => {
  const { es256, eddsa, rs256, stranger } = issuerKeys
  const odd: readonly [what: string, token: () => string, expected: string][] = [
    ['another key', () => kit.token({ key: eddsa }), 'allow'],
    ['a key of another kind', () => kit.token({ key: rs256 }), 'allow'],
    ['another typ', () => kit.token({ header: { typ: 'JWT' } }), 'token_type_not_allowed'],
    ['alg none', () => kit.token({ header: { alg: 'none' } }), 'algorithm_not_allowed'],
    ['another alg', () => kit.token({ header: { alg: 'ES384' } }), 'key_not_found'],
    ['crit', () => kit.token({ header: { crit: ['exp'] } }), 'token_malformed'],
    ['an unknown kid', () => kit.token({ header: { kid: 'as-9' } }), 'key_not_found'],
    [
      'somebody else’s key',
      () => kit.token({ key: stranger, header: { kid: es256.kid } }),
      'signature_invalid',
    ],
  ]

  test.each(odd)('does not speak for one with %s', async (_, token, expected) => {
    const { outcome } = verifierFor(kit, { routes: { 'GET /orders/:id': 'authenticated' } }, options)
    expect(await outcome(kit.call())).toBe('allow')
    for (let times = 0; times < 2; times++) expect(await outcome(kit.call({ token: token() }))).toBe(expected)
    expect(await outcome(kit.call())).toBe('allow')
  })

  test('is not that of one that was refused', async () => {
    const { outcome } = verifierFor(kit, { routes: { 'GET /orders/:id': 'authenticated' } }, options)
    const forged = () => kit.token({ key: stranger, header: { alg: 'ES256', kid: es256.kid, n: 1 } })
    for (let times = 0; times < 2; times++) {
      expect(await outcome(kit.call({ token: forged() }))).toBe('signature_invalid')
      expect(await outcome(kit.call())).toBe('allow')
    }
  })
})

/** Every object in a value, itself included. */
function objectsIn(value: unknown): object[] {
  return typeof value === 'object' && value !== null
    ? [value, ...Object.values(value).flatMap(objectsIn)]
    : []
}

test('what a list does with the ids that it is asked about, it does to no other request', async () => {
  const asked: string[][] = []
  const isRevoked = (ids: string[]) => {
    asked.push([...ids])
    ids.length = 0
    return false
  }
  const { outcome } = verifierFor(kit, {}, { revocations: { isRevoked } })
  const token = kit.token()
  for (let times = 0; times < 3; times++) expect(await outcome(kit.call({ token }))).toBe('allow')
  expect(asked[0]?.length).toBeGreaterThan(2)
  expect(asked).toEqual([asked[0], asked[0], asked[0]])
})

test('a handler cannot change the grant of the next request', async () => {
  const { verify } = verifierFor(kit, { routes: { 'GET /orders/:id': 'authenticated' } })
  const claims = { aud: [AUDIENCE, 'https://other.example.com'], details: [{ amounts: [1, [2]] }, {}] }
  const token = kit.token({ claims })
  const grants = []
  for (let times = 0; times < 2; times++) {
    const decision = await verify(kit.call({ token }))
    grants.push(decision.outcome === 'allow' ? decision.grant : undefined)
  }
  const [first, second] = grants
  expect(first?.claims).toBe(second?.claims)
  const objects = objectsIn(first)
  expect(objects.length).toBeGreaterThan(15)
  // Parameters of the path are of one request alone.
  for (const object of objects.filter((object) => object !== first?.params)) {
    expect(Object.isFrozen(object), JSON.stringify(object)).toBe(true)
  }
})
