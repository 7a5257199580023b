import { describe, expect, test } from 'vitest'
import { PolicyError } from '../../../src/index.js'
import { type ArgumentConstraint, allowedTools, type McpRules } from '../../../src/mcp/index.js'
import { briefly, call, createMessageDecider, request } from '../../support/mcp/message-decisions.js'

const claims = {
  order: { id: '17', number: 17 },
  budget: { least: 5, most: 50 },
  list: [1, 2],
}

async function isMet(constraint: ArgumentConstraint, args: unknown, pointer = '/value'): Promise<boolean> {
  const rules: McpRules = { tools: { refund: { arguments: { [pointer]: constraint } } } }
  const told = briefly(await createMessageDecider().tell(rules, call('refund', args), { claims }))
  if (told !== 'passes') expect(told).toBe('200 result true argument_not_allowed')
  return told === 'passes'
}

describe('a constraint on an argument', () => {
  test.each<[ArgumentConstraint, unknown[], unknown[]]>([
    [{ equals: 17 }, [17], ['17', 17.5, true, null, [17], { value: 17 }]],
    [{ equals: '17' }, ['17'], [17, '17 ', '017', ['17']]],
    [{ equals: { a: 1, b: [2] } }, [{ b: [2], a: 1 }], [{ a: 1 }, { a: 1, b: [2], c: 3 }]],
    [{ equals: null }, [null], [0, '', false]],
    [{ in: [1, 'two'] }, [1, 'two'], ['1', 2, ['two'], null]],
    [{ min: 5 }, [5, 6], [4, '5', null, [5]]],
    [{ max: 5 }, [5, -1], [6, '5', '', null, []]],
    [{ min: 1, max: 2 }, [1, 2], [0, 3, '1']],
    [{ exists: true }, [0, null, '', false], []],
    [{ claim: '/order/id' }, ['17'], [17, '17.0', '', null]],
    [{ claim: '/order/number' }, [17], ['17', 18]],
    [{ claim: '/list' }, [[1, 2]], [[2, 1], [1], '1,2']],
    [{ claim: '/no/such' }, [], ['', null, 'x']],
    [{ maxClaim: '/budget/most' }, [50, 0, -5], [50.01, '50', null]],
    [{ minClaim: '/budget/least' }, [5, 51], [4, '5', null]],
    [{ minClaim: '/budget/least', maxClaim: '/budget/most' }, [5, 50], [4, 51]],
    [{ maxClaim: '/order/id' }, [], [1, '1', '17']],
    [{ maxClaim: '/no/such' }, [], [0, null]],
    [{ max: 10, maxClaim: '/budget/most' }, [10], [11]],
  ])(
    '%j is met by these values and no others, and never by a missing one',
    async (constraint, met, unmet) => {
      for (const value of met) expect([value, await isMet(constraint, { value })]).toEqual([value, true])
      for (const value of unmet) expect([value, await isMet(constraint, { value })]).toEqual([value, false])
      expect(await isMet(constraint, {})).toBe(false)
      expect(await isMet(constraint, undefined)).toBe(false)
      expect(await isMet(constraint, { Value: met[0] })).toBe(false)
    },
  )

  test('exists: false is met by a missing argument only', async () => {
    expect(await isMet({ exists: false }, {})).toBe(true)
    expect(await isMet({ exists: false }, undefined)).toBe(true)
    for (const value of [null, false, 0, '']) expect(await isMet({ exists: false }, { value })).toBe(false)
  })

  test('is read by its pointer, and never from a prototype', async () => {
    expect(await isMet({ equals: 1 }, { a: [{ b: 1 }] }, '/a/0/b')).toBe(true)
    expect(await isMet({ equals: 1 }, { a: [{ b: 2 }, { b: 1 }] }, '/a/0/b')).toBe(false)
    expect(await isMet({ exists: true }, { a: 'text' }, '/a/length')).toBe(false)
    expect(await isMet({ exists: true }, {}, '/constructor')).toBe(false)
    expect(await isMet({ exists: true }, {}, '/toString')).toBe(false)
  })

  test('is told to the operator, and its value to nobody else', async () => {
    const { tell, told } = createMessageDecider()
    const rules: McpRules = { tools: { refund: { arguments: { '/amount': { maxClaim: '/budget/most' } } } } }
    const denied = await tell(rules, call('refund', { amount: 500 }), { claims })
    expect(told.at(-1)?.[1].cause).toMatchObject({ claim: '/amount', found: '500', unverified: true })
    expect(JSON.stringify(denied?.body)).not.toMatch(/500|budget|amount/)
  })
})

test('conditions on the token come first, and every argument has to be right', async () => {
  const rules: McpRules = {
    tools: { refund: { scope: 'refund', arguments: { '/a': { equals: 1 }, '/b': { equals: 2 } } } },
  }
  const { tell } = createMessageDecider()
  const scope = { claims: { scope: 'refund' } }
  expect(briefly(await tell(rules, call('refund', { a: 1, b: 2 })))).toBe('403 scope_insufficient')
  expect(briefly(await tell(rules, call('refund', { a: 1, b: 2 }), scope))).toBe('passes')
  expect(briefly(await tell(rules, call('refund', { a: 1 }), scope))).toMatch(/argument_not_allowed/)
})

test('a list of tools counts what depends on arguments as allowed, and uses nothing up', async () => {
  const { grantOf, tell, list, told } = createMessageDecider()
  const rules: McpRules = {
    tools: {
      read: { scope: 'read' },
      refund: { scope: 'refund', arguments: { '/amount': { max: 5 } } },
      once: { once: true },
      limited: { limit: { per: 'agent', max: 1, window: 60 } },
      other: { agents: ['another-agent'] },
      watched: { agents: ['another-agent'], mode: 'observe' },
      hooked: { authorize: true },
    },
  }
  const grant = await grantOf({ scope: 'refund' })
  const before = told.length
  const names = ['refund', 'once', 'limited', 'watched', 'hooked']
  for (let count = 0; count < 3; count++) expect(allowedTools(rules, grant)).toEqual(names)
  expect(told).toHaveLength(before)
  const same = ['read', 'refund', 'once', 'limited', 'other', 'watched']
  for (const name of same) {
    const said = briefly(await tell(rules, call(name, { amount: 1 }), { claims: { scope: 'refund' } }))
    expect([name, said === 'passes']).toEqual([name, names.includes(name)])
  }
  expect(await list({ ...rules, methods: { 'tools/call': { scope: 'tools' } } }, { scope: 'read' })).toEqual(
    [],
  )
  expect(await list({ tools: {} })).toEqual([])
  expect(() => allowedTools(rules, { ...grant })).toThrow(/not a copy/)
})

test('a list of tools is empty once the token has expired', async () => {
  const { grantOf, kit } = createMessageDecider()
  const grant = await grantOf({})
  expect(allowedTools({ tools: { read: {} } }, grant)).toEqual(['read'])
  kit.now += 3_600_000
  expect(allowedTools({ tools: { read: {} } }, grant)).toEqual([])
})

test.each<[string, McpRules | object, RegExp]>([
  ['no tools', {}, /tools: is missing/],
  ['an unknown key', { tools: {}, tool: {} }, /tool: is not a key here; did you mean "tools"/],
  ['an unknown key of a rule', { tools: { a: { argument: {} } } }, /tools\.a\.argument: is not a key/],
  [
    'a name without a pointer',
    { tools: { a: { arguments: { id: { equals: 1 } } } } },
    /must be a JSON pointer/,
  ],
  ['a constraint without a key', { tools: { a: { arguments: { '/id': {} } } } }, /at least one constraint/],
  [
    'an undefined constraint',
    { tools: { a: { arguments: { '/id': { equals: undefined } } } } },
    /is undefined/,
  ],
  [
    'min above max',
    { tools: { a: { arguments: { '/id': { min: 2, max: 1 } } } } },
    /min is greater than max/,
  ],
  [
    'exists false beside another key',
    { tools: { a: { arguments: { '/id': { exists: false, claim: '/id' } } } } },
    /contradicts the other keys/,
  ],
  ['a name that is reserved', { tools: JSON.parse('{"__proto__":{}}') }, /is a reserved name/],
  [
    'arguments of a resource',
    { tools: {}, resources: { '*': { arguments: {} } } },
    /arguments: is not a key/,
  ],
  ['a wrong word for a method', { tools: {}, methods: { ping: 'public' } }, /"authenticated", or a rule/],
])('refuses rules with %s', async (_, rules, message) => {
  const { tell } = createMessageDecider()
  const asked = tell(rules as McpRules, request('ping'))
  await expect(asked).rejects.toThrow(PolicyError)
  await expect(tell(rules as McpRules, request('ping'))).rejects.toThrow(message)
})
