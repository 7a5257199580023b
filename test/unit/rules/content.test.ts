import { describe, expect, test } from 'vitest'
import { parseMcpRules } from '../../../src/mcp/rules.js'
import { compileArguments, compileContent } from '../../../src/rules/content.js'

const claims = JSON.parse(
  '{"amount": 100, "order": 17, "text": "17", "big": 9007199254740993, "list": [1, {"a": null}], "nothing": null}',
)

function isMet(constraint: object, value: unknown): boolean {
  const body = value === undefined ? {} : { value }
  return compileContent('body', { '/value': constraint })(body, claims) === undefined
}

describe('values are compared by type', () => {
  test.for<[constraint: object, met: readonly unknown[], refused: readonly unknown[]]>([
    [{ equals: 17 }, [17, 17.0], ['17', true, [17], null, { value: 17 }]],
    [{ equals: '17' }, ['17'], [17, '17 ', '１７']],
    [{ equals: 0 }, [0, -0], [false, '', null, [], '0']],
    [{ equals: null }, [null], [0, '', 'null', false]],
    [{ equals: true }, [true], [1, 'true']],
    [
      { equals: { a: 1, b: [2] } },
      [{ b: [2], a: 1 }],
      [{ a: 1 }, { a: 1, b: [2], c: 3 }, { a: 1, b: ['2'] }],
    ],
    [{ equals: [1, 2] }, [[1, 2]], [[2, 1], [1], [1, 2, 3], '1,2', { 0: 1, 1: 2 }]],
    [{ in: ['a', 1] }, ['a', 1], ['1', 'A', ['a'], ['a', 1], null]],
    [{ max: 100 }, [100, 0, -5, 99.5], [100.5, '50', null, true, [], [50]]],
    [{ min: 1 }, [1, 2.5], [0, -1, '2', null]],
    [{ min: 1, max: 3 }, [1, 3], [0, 4]],
    [{ min: 0 }, [0, -0], [-1]],
    [{ exists: true }, [null, 0, '', false, []], []],
    [{ claim: '/order' }, [17], ['17', 18, null]],
    [{ claim: '/text' }, ['17'], [17]],
    [{ claim: '/list' }, [[1, { a: null }]], [[1, {}], [1]]],
    [{ claim: '/nothing' }, [null], [0, '']],
    [{ maxClaim: '/amount' }, [100, 1], [101, '1', null]],
    [{ minClaim: '/order', maxClaim: '/amount' }, [17, 100], [16, 101]],
    [{ claim: '/order', max: 20 }, [17], [18]],
  ])('%j', ([constraint, met, refused]) => {
    for (const value of met) expect(isMet(constraint, value), JSON.stringify(value)).toBe(true)
    for (const value of refused) expect(isMet(constraint, value), JSON.stringify(value)).toBe(false)
  })

  test('a missing value meets nothing but exists: false', () => {
    expect(isMet({ exists: false }, undefined)).toBe(true)
    const others = [
      { exists: true },
      { equals: null },
      { in: [null] },
      { min: 0 },
      { max: 0 },
      { claim: '/order' },
    ]
    for (const constraint of [
      ...others,
      { maxClaim: '/amount' },
      { minClaim: '/amount' },
      { claim: '/missing' },
    ]) {
      expect(isMet(constraint, undefined), JSON.stringify(constraint)).toBe(false)
    }
    for (const value of [null, 0, '', false, [], {}]) expect(isMet({ exists: false }, value)).toBe(false)
  })

  test('a claim that the token lacks, or that is no number, bounds nothing', () => {
    expect(isMet({ maxClaim: '/missing' }, 1)).toBe(false)
    expect(isMet({ minClaim: '/missing' }, 1)).toBe(false)
    expect(isMet({ maxClaim: '/text' }, 1)).toBe(false)
    expect(isMet({ claim: '/constructor' }, 1)).toBe(false)
    expect(isMet({ claim: '/__proto__' }, {})).toBe(false)
  })

  test('an integer beyond 2^53 - 1 meets no comparison, because its neighbours have the same number', () => {
    const big = JSON.parse('9007199254740993')
    expect(isMet({ claim: '/big' }, big)).toBe(false)
    expect(isMet({ min: 1 }, big)).toBe(false)
    expect(isMet({ minClaim: '/order' }, big)).toBe(false)
    expect(isMet({ maxClaim: '/big' }, 1)).toBe(false)
    expect(isMet({ max: -1 }, -big)).toBe(false)
    expect(isMet({ exists: true }, big)).toBe(true)
    expect(isMet({ claim: '/list' }, [big, { a: null }])).toBe(false)
    expect(isMet({ max: Number.MAX_SAFE_INTEGER }, Number.MAX_SAFE_INTEGER)).toBe(true)
  })
})

describe('members are own members, and every reader finds the same', () => {
  const check = (pointer: string, constraint: object, body: unknown) =>
    compileContent('body', { [pointer]: constraint })(body, claims)

  test('inherited members are missing', () => {
    for (const name of ['constructor', 'toString', '__proto__', 'hasOwnProperty']) {
      expect(check(`/${name}`, { exists: true }, {})?.code).toBe('argument_not_allowed')
      expect(check(`/${name}`, { exists: false }, {})).toBeUndefined()
    }
    expect(check('/length', { exists: true }, [1])).toBeDefined()
    expect(check('/constructor', { equals: 1 }, { constructor: 1 })).toBeUndefined()
  })

  test('JSON with a member __proto__ is refused, at any depth', () => {
    for (const text of [
      '{"__proto__": {"discount": 1}}',
      '{"a": [{"__proto__": 1}]}',
      '[{"__proto__": null}]',
    ]) {
      const refusal = check('/discount', { exists: false }, JSON.parse(text))
      expect(refusal?.cause?.reason, text).toMatch(/^body: a member __proto__ or a value that is not JSON/)
    }
  })

  test('values that JSON does not have are refused', () => {
    for (const value of [new Date(), Buffer.from('a'), new Map(), 1n, Symbol('a'), () => 1, Number.NaN]) {
      expect(check('/other', { exists: false }, { value })?.code).toBe('argument_not_allowed')
    }
    expect(check('/a', { min: 1 }, JSON.parse('{"a": 1e999}'))).toBeDefined()
  })

  test('nesting deeper than the stack, and a cycle, are read without harm', () => {
    const deep = JSON.parse(`{"a":${'['.repeat(50_000)}${']'.repeat(50_000)}}`)
    expect(check('/a', { equals: [[1]] }, deep)).toBeDefined()
    expect(check('/a/0/0', { exists: true }, deep)).toBeUndefined()
    const cycle: { self?: unknown } = {}
    cycle.self = cycle
    expect(check('/self/self', { exists: true }, cycle)).toBeUndefined()
  })

  test('pointers escape ~ and /, and index arrays in one spelling only', () => {
    expect(check('/a~1b/m~0n', { equals: 1 }, { 'a/b': { 'm~n': 1 } })).toBeUndefined()
    expect(check('/0', { equals: 1 }, [1])).toBeUndefined()
    for (const pointer of ['/00', '/-', '/+0', '/0.0', '/1'])
      expect(check(pointer, { exists: true }, [1])).toBeDefined()
  })
})

test('the refusal names the pointer, the constraint and the value, marked as unverified', () => {
  const refusal = compileContent('body', { '/amount': { max: 5 } })({ amount: 6 }, claims)
  expect(refusal).toMatchObject({
    code: 'argument_not_allowed',
    cause: { claim: '/amount', expected: '{"max":5}', found: '6', unverified: true },
  })
})

test('arguments are an object, or nothing', () => {
  const [check] = compileArguments({ '/a': { exists: false } })
  const given = (value: unknown) => check?.({ token: { claims }, arguments: value } as never)
  expect(given(undefined)).toBeUndefined()
  expect(given({})).toBeUndefined()
  for (const value of [null, 'text', [], 1]) expect(given(value)?.code).toBe('argument_not_allowed')
  expect(compileArguments({})).toEqual([])
})

describe('the schema of constraints', () => {
  const problemsOf = (constraint: unknown, pointer = '/amount') => {
    try {
      parseMcpRules({ tools: { refund: { arguments: { [pointer]: constraint } } } })
      return undefined
    } catch (error) {
      return String(error)
    }
  }

  test.for<[constraint: unknown, problem: RegExp]>([
    [{ maximum: 5 }, /tools\.refund\.arguments\["\/amount"\]\.maximum: is not a key here/],
    [{ maxclaim: '/a' }, /did you mean "?maxClaim"?/],
    [{}, /must have at least one constraint/],
    [{ max: '5' }, /\.max: must be a number, not this string/],
    [{ claim: 'amount' }, /\.claim: must be a JSON pointer/],
    [{ in: [] }, /\.in: must name at least one value/],
    [{ min: 5, max: 1 }, /min is greater than max/],
    [{ equals: 5, max: 1 }, /equals is outside min and max/],
    [{ exists: false, equals: 1 }, /exists false contradicts the other keys/],
    [{ exists: false, claim: '/a' }, /exists false contradicts the other keys/],
    [{ equals: 2 ** 53 }, /\.equals: has an integer beyond 2\^53 - 1/],
    [{ in: [1, [2 ** 60]] }, /\.in: has an integer beyond/],
    [{ max: undefined }, /is undefined/],
    [{ equals: undefined }, /is undefined/],
  ])('%j is wrong', ([constraint, problem]) => {
    expect(problemsOf(constraint)).toMatch(problem)
  })

  test('a key that is no JSON pointer is wrong', () => {
    expect(problemsOf({ max: 5 }, 'amount')).toMatch(/arguments\.amount: must be a JSON pointer/)
    expect(problemsOf({ max: 5 }, '/a~2')).toMatch(/must be a JSON pointer/)
  })

  test('every key is known', () => {
    for (const constraint of [
      { exists: true },
      { equals: { deep: [null] } },
      { in: ['a', 1] },
      { min: 1, max: 1 },
      { claim: '/a' },
      { minClaim: '/a', maxClaim: '/b' },
    ])
      expect(problemsOf(constraint)).toBeUndefined()
  })
})
