import canonicalizeModule from 'canonicalize'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createKit } from '../../../fixtures/kit.js'
import type { Json } from '../../../src/index.js'
import { isSameJson, parsePointer, resolvePointer } from '../../../src/policy/json-pointer.js'
import { verifierFor } from '../../support/verify.js'

// The package is CommonJS whose types describe an ES module: the import is the function itself.
const canonicalize = canonicalizeModule as unknown as (value: unknown) => string

/** RFC 6901 section 5. */
const document = {
  foo: ['bar', 'baz'],
  '': 0,
  'a/b': 1,
  'c%d': 2,
  'e^f': 3,
  'g|h': 4,
  'i\\j': 5,
  'k"l': 6,
  ' ': 7,
  'm~n': 8,
}

const examples: readonly [pointer: string, value: Json][] = [
  ['/foo', ['bar', 'baz']],
  ['/foo/0', 'bar'],
  ['/', 0],
  ['/a~1b', 1],
  ['/c%d', 2],
  ['/e^f', 3],
  ['/g|h', 4],
  ['/i\\j', 5],
  ['/k"l', 6],
  ['/ ', 7],
  ['/m~0n', 8],
]

const escaped = (name: string) => name.replaceAll('~', '~0').replaceAll('/', '~1')

describe('JSON pointers', () => {
  test.each(examples)('%j has the value %j (RFC 6901 section 5)', (pointer, value) => {
    expect(resolvePointer(document, parsePointer(pointer))).toEqual(value)
  })

  test.each(examples)('%j has it in a rule, too', async (pointer, value) => {
    const kit = createKit()
    const at = (equals: Json) =>
      verifierFor(kit, { routes: { 'GET /orders/:id': { claims: { [pointer]: { equals } } } } })
    expect(await at(value).outcome(kit.call({ token: { claims: document } }))).toBe('allow')
    expect(await at('other').outcome(kit.call({ token: { claims: document } }))).toBe('claim_not_allowed')
  })

  test('of a rule point into the claims: an empty pointer, a fragment or a bad escape is a PolicyError', () => {
    for (const pointer of ['', 'foo', '#/foo', '/~', '/~2', '/a~', '/~01~']) {
      const policy = { routes: { 'GET /orders/:id': { claims: { [pointer]: { exists: true } } } } }
      expect(() => verifierFor(createKit(), policy), pointer).toThrow(/JSON pointer/)
    }
  })

  test('find every member of any document, and no missing member', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string(), fc.dictionary(fc.string(), fc.jsonValue())),
        fc.string(),
        (outer, extra) => {
          for (const [name, inner] of Object.entries(outer)) {
            for (const [leaf, value] of Object.entries(inner)) {
              const tokens = parsePointer(`/${escaped(name)}/${escaped(leaf)}`)
              expect(resolvePointer(outer as Json, tokens)).toBe(value)
            }
            if (Object.hasOwn(inner, extra)) continue
            expect(
              resolvePointer(outer as Json, parsePointer(`/${escaped(name)}/${escaped(extra)}`)),
            ).toBeUndefined()
          }
        },
      ),
    )
  })

  test('do not find inherited members', () => {
    for (const value of [{}, [], 'text', 1, true, null] satisfies Json[]) {
      for (const name of [
        ...Object.getOwnPropertyNames(Object.prototype),
        'length',
        'map',
        'at',
        '-1',
        '-',
      ]) {
        expect(resolvePointer({ value }, ['value', name])).toBeUndefined()
      }
    }
  })
})

describe('the equality of JSON values', () => {
  const pair = fc.oneof(
    fc.tuple(fc.jsonValue(), fc.jsonValue()),
    fc.jsonValue().map((value): [unknown, unknown] => [value, reversed(value)]),
  )

  test('is the equality of their canonical forms (RFC 8785)', () => {
    fc.assert(
      fc.property(pair, ([one, other]) => {
        expect(isSameJson(one, other)).toBe(canonicalize(one) === canonicalize(other))
        expect(isSameJson(other, one)).toBe(isSameJson(one, other))
      }),
      { numRuns: 500 },
    )
  })
})

/** The same value, the members of each object in another order. */
function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([name, inner]) => [name, reversed(inner)]),
  )
}
