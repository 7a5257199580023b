import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findParameter, readParameters } from '../../../src/request/query-parameters.js'
import { apps, type MakeApp } from '../../support/content/apps.js'
import { type ContentApp, serve } from '../../support/content/request.js'

describe.each(Object.entries(apps))('A263 query on %s', (_, make: MakeApp) => {
  let app: ContentApp
  beforeAll(async () => {
    const rule = {
      query: { amount: { maxClaim: '/budget' }, order: { claim: '/order' }, debug: { exists: false } },
    } as const
    app = await serve((verifier) => make(verifier, rule))
  })
  afterAll(() => app.close())

  const get = (query: string, claims: object = { budget: 50, order: '7' }) =>
    app.send({ method: 'GET', query, claims: { ...claims } })

  test.for([
    '?amount=50&order=7',
    '?order=7&amount=0.5&other=1&other=2',
    '?a=b%5B&&amount=5&order=%37',
    '?amount=5&order=7&amounts=500&my.amount=500',
  ])('%s is allowed', async (query) => {
    expect(await get(query)).toMatchObject({ status: 200, seen: { query: { order: '7' } } })
  })

  test('a number in a claim is compared with the decimal form', async () => {
    expect((await get('?amount=5&order=7', { budget: 50, order: 7 })).status).toBe(200)
    for (const order of ['07', '7.', '7e0', '0x7', ' 7', '7%20', '+7', '%2B7', '٧']) {
      expect((await get(`?amount=5&order=${order}`, { budget: 50, order: 7 })).status, order).toBe(403)
    }
  })

  test.for([
    ['no query', ''],
    ['more than the claim', '?amount=51&order=7'],
    ['a missing parameter', '?amount=5'],
    ['another value', '?amount=5&order=8'],
    ['a name without a value', '?amount&order=7'],
    ['one that must not be there', '?amount=5&order=7&debug='],
    ['a parameter that comes twice', '?amount=5&amount=5&order=7'],
    ['a second one in capitals of its encoding', '?amount=5&%61mount=500&order=7'],
    ['a needless encoding', '?%61mount=5&order=7'],
    ['brackets', '?amount[]=5&order=7'],
    ['brackets beside it', '?amount=5&amount[]=500&order=7'],
    ['encoded brackets', '?amount=5&amount%5B0%5D=500&order=7'],
    ['brackets around it', '?[amount]=5&order=7'],
    ['a dot', '?amount=5&amount.x=500&order=7'],
    ['a broken encoding', '?amount=5&order=7&x=%'],
    ['bytes that are not UTF-8', '?amount=5&order=7&x=%ff'],
    ['a bracket behind an equals sign', '?amount=5]=1&order=7'],
    ['more digits than a number holds', '?amount=1.0000000000000001&order=7'],
    ['more parameters than parsers read', `?${'x=1&'.repeat(1000)}amount=5&order=7`],
  ])('%s is refused', async ([, query]) => {
    expect(await get(query ?? '')).toMatchObject({ status: 403, seen: 'argument_not_allowed' })
  })

  test('the cause names the parameter', async () => {
    expect((await get('?amount=51&order=7')).cause).toMatchObject({
      claim: 'amount',
      found: '51',
      unverified: true,
    })
    expect((await get('?amount=5&amount=5&order=7')).cause?.reason).toMatch(/comes twice/)
  })
})

describe('parameters of a query', () => {
  const find = (query: string, name: string) => findParameter(readParameters(query) ?? [], name)

  test('a name with brackets is one parameter, and its relatives make it ambiguous', () => {
    expect(find('filter%5Bamount%5D=5&filter[name]=x', 'filter[amount]')).toEqual({ value: '5' })
    for (const query of [
      'filter[amount]=5&filter=x',
      'filter[amount]=5&filter[amount][]=6',
      'filter.amount=5',
    ]) {
      expect(find(query, 'filter[amount]'), query).toBe('ambiguous')
    }
    expect(find('filter[name]=x', 'filter[amount]')).toBe('missing')
  })

  test('a bracket behind the first equals sign makes the query ambiguous, encoded or not', () => {
    for (const query of ['q=5]=1', 'q=5%5D=1', 'x=1&q=a[b]=c'])
      expect(readParameters(query), query).toBeUndefined()
    expect(readParameters('q[a]=5&r=]')).toHaveLength(2)
  })

  test('a plus is a blank, and an encoded plus is a plus', () => {
    expect(find('q=a+b%2B', 'q')).toEqual({ value: 'a b+' })
    expect(find('', 'q')).toBe('missing')
    expect(find('&&q', 'q')).toEqual({ value: '' })
  })
})
