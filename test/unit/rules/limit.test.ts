import { describe, expect, it, test } from 'vitest'
import { defaultPolicy } from '../../../fixtures/conformance/policy.js'
import { createKit, type Kit } from '../../../fixtures/kit.js'
import {
  createVerifier,
  type HandlerLimit,
  type HandlerRule,
  type LimitStore,
  memoryLimitStore,
  type PolicyError,
  type RouteRule,
} from '../../../src/index.js'
import { outcomeOf, verifierFor } from '../../support/verify.js'

const rule = (
  limit: RouteRule['limit'],
  more: RouteRule = {},
): { routes: { 'GET /orders/:id': RouteRule } } => ({
  routes: { 'GET /orders/:id': { ...more, ...(limit === undefined ? {} : { limit }) } },
})
const count = (outcomes: readonly string[], which: string) =>
  outcomes.filter((outcome) => outcome === which).length

/** A store without `consumeAll` that answers when it pleases. */
function slowStore(): LimitStore & { readonly calls: unknown[][] } {
  const inner = memoryLimitStore()
  const calls: unknown[][] = []
  return {
    calls,
    async consume(...call) {
      calls.push(call)
      await new Promise((done) => setTimeout(done, Math.random() * 10))
      const result = inner.consume(...call)
      await new Promise((done) => setTimeout(done, Math.random() * 10))
      return result
    },
  }
}

describe.each([
  ['in memory', () => memoryLimitStore()],
  ['of the app', slowStore],
])('a limit, with a store %s', (_, makeStore) => {
  it('lets exactly 20 of 70 concurrent requests pass, ten times', async () => {
    for (let run = 0; run < 10; run++) {
      const kit = createKit()
      const { outcome } = verifierFor(kit, rule({ per: 'agent', max: 20, window: 60 }), {
        limitStore: makeStore(),
      })
      const outcomes = await Promise.all(Array.from({ length: 70 }, () => outcome(kit.call())))
      expect([run, count(outcomes, 'allow'), count(outcomes, 'limit_exceeded')]).toEqual([run, 20, 50])
    }
  })
})

describe('a limit', () => {
  it('passes key, cost, limit and window to a store of the app, and gives back with a negative cost', async () => {
    const kit = createKit()
    const limitStore = slowStore()
    const limits = [
      { per: 'agent', max: 5, window: 60 },
      { per: 'token', max: 1 },
    ] as const
    const { outcome } = verifierFor(kit, rule(limits), { limitStore })
    const token = kit.token()
    expect(await outcome(kit.call({ token }))).toBe('allow')
    expect(await outcome(kit.call({ token }))).toBe('limit_exceeded')
    const key = expect.stringMatching(/^[\w-]{43}$/)
    const life = expect.any(Number)
    expect(limitStore.calls).toEqual([
      [key, 1, 5, 60],
      [key, 1, 1, life],
      [key, 1, 5, 60],
      [key, 1, 1, life],
      [key, -1, 5, 60],
    ])
    expect(limitStore.calls[0]?.[0]).toBe(limitStore.calls[2]?.[0])
    expect(limitStore.calls[0]?.[0]).not.toBe(limitStore.calls[1]?.[0])
  })

  it('gives back what an answer after the deadline has counted', { timeout: 20_000 }, async () => {
    const kit = createKit()
    const inner = memoryLimitStore()
    let answer = () => {}
    const limitStore: LimitStore = {
      consume: () => Promise.reject(new Error('not asked')),
      consumeAll: async (uses) => {
        await new Promise<void>((done) => {
          answer = done
        })
        return inner.consumeAll(uses)
      },
      giveBack: (charges) => inner.giveBack(charges),
    }
    const policy = rule({ per: 'agent', max: 1, window: 60 })
    expect(await verifierFor(kit, policy, { limitStore }).outcome(kit.call())).toBe('limits_unavailable')
    answer()
    await new Promise((done) => setTimeout(done, 10))
    expect(inner.size).toBe(1)
    expect(await verifierFor(kit, policy, { limitStore: inner }).outcome(kit.call())).toBe('allow')
  })

  it('has one counter for each rule, and one for all rules that give it the same name', async () => {
    const kit = createKit()
    const routes = (limit: RouteRule['limit']) => ({
      routes: { 'GET /orders/:id': { limit }, 'GET /agents/:id': { limit } } as Record<string, RouteRule>,
    })
    const own = verifierFor(kit, routes({ per: 'agent', max: 1, window: 60 }))
    const both = [kit.call(), kit.call({ path: '/agents/1' })]
    expect([await own.outcome(both[0] as never), await own.outcome(both[1] as never)]).toEqual([
      'allow',
      'allow',
    ])
    const named = verifierFor(kit, routes({ per: 'agent', max: 1, window: 60, name: 'reads' }))
    expect(await named.outcome(kit.call())).toBe('allow')
    expect(await named.outcome(kit.call({ path: '/agents/1' }))).toBe('limit_exceeded')
  })

  it('lasts as long as any token that was counted, without a window', async () => {
    const kit = createKit()
    const claims = (lifetime: number) => ({
      iat: kit.now / 1000,
      exp: kit.now / 1000 + lifetime,
      intent: { executed_by: 'agent-7', initiated_by: 'user-1', run_id: 'run-1' },
    })
    const { outcome } = verifierFor(kit, rule({ per: 'run', max: 2 }))
    const call = (lifetime: number) => outcome(kit.call({ token: { claims: claims(lifetime) } }))
    expect(await call(60)).toBe('allow')
    kit.advance(50)
    expect(await call(60)).toBe('allow')
    kit.advance(40)
    expect(await call(60)).toBe('limit_exceeded')
    kit.advance(40)
    expect(await call(60)).toBe('allow')
  })

  it('counts in mode observe apart from what is enforced', async () => {
    const kit = createKit()
    const limit = { per: 'agent', max: 1, window: 60, name: 'reads' } as const
    const routes = { 'GET /orders/:id': { limit, mode: 'observe' }, 'GET /agents/:id': { limit } } as const
    const { outcome } = verifierFor(kit, { routes })
    const observed = [await outcome(kit.call()), await outcome(kit.call())]
    expect(observed).toEqual(['allow', 'limit_exceeded'])
    expect(await outcome(kit.call({ path: '/agents/1' }))).toBe('allow')
  })

  it('names itself in the cause', async () => {
    const kit = createKit()
    const causes: unknown[] = []
    const options = { onDecision: (_: unknown, facts: { cause: unknown }) => void causes.push(facts.cause) }
    const { outcome } = verifierFor(kit, rule({ per: 'agent', max: 1, window: 60 }), options)
    await outcome(kit.call())
    await outcome(kit.call())
    expect(causes[1]).toMatchObject({
      reason: 'the limit "agent-60" (per agent) is used up',
      expected: 'at most 1 in 60 s',
      found: '1 more, with 0 left',
    })
  })
})

describe('a limit in a rule of a handler', () => {
  async function checked(kit: Kit, rules: readonly HandlerRule[], claims: Record<string, unknown> = {}) {
    const verifier = createVerifier(defaultPolicy(), { now: () => kit.now })
    const { method, url, headers } = kit.call({ token: { claims } })
    const decision = await verifier.verify({
      method,
      url,
      headers: new Headers(headers.map(([...field]) => field)),
    })
    expect(outcomeOf(decision)).toBe('allow')
    const outcomes: string[] = []
    for (const each of rules) outcomes.push((await verifier.check(decision, each))?.code ?? 'allow')
    return outcomes
  }

  it('counts each call of check', async () => {
    const limit = { limit: { per: 'token', max: 2 } } as const
    expect(await checked(createKit(), [limit, limit, limit])).toEqual(['allow', 'allow', 'limit_exceeded'])
  })

  it('counts by the cost', async () => {
    const costing = (cost: HandlerLimit['cost'] & {}): HandlerRule => ({
      limit: { per: 'token', max: 100, name: 'refunds', cost },
    })
    expect(await checked(createKit(), [costing(60), costing(50), costing(40), costing(1)])).toEqual([
      'allow',
      'limit_exceeded',
      'allow',
      'limit_exceeded',
    ])
    expect(await checked(createKit(), [costing('/amount'), costing('/amount')], { amount: 60 })).toEqual([
      'allow',
      'limit_exceeded',
    ])
    expect(await checked(createKit(), [costing('/amount')], { amount: -1 })).toEqual(['claim_not_allowed'])
    expect(await checked(createKit(), [costing(async () => 100), costing(() => 1)])).toEqual([
      'allow',
      'limit_exceeded',
    ])
  })

  it.each([Number.NaN, -1, Number.POSITIVE_INFINITY, '5', undefined, null, 1e300])(
    'refuses a cost of %s',
    async (cost) => {
      const each = { limit: { per: 'token', max: 100, cost: () => cost as number } } as const
      expect(await checked(createKit(), [each])).toEqual(['argument_not_allowed'])
    },
  )

  it('refuses where the cost function throws', async () => {
    const cost = () => {
      throw new TypeError('no body')
    }
    expect(await checked(createKit(), [{ limit: { per: 'token', max: 100, cost } }])).toEqual([
      'argument_not_allowed',
    ])
  })
})

test('explain counts nothing', async () => {
  const kit = createKit()
  const calls: unknown[] = []
  const limitStore: LimitStore = { consume: (...call) => calls.push(call) as never }
  const policy = {
    ...defaultPolicy(),
    ...rule([
      { per: 'agent', max: 1, window: 60 },
      { per: 'run', max: 1 },
    ]),
  }
  const verifier = createVerifier(policy, { now: () => kit.now, limitStore })
  const intent = { executed_by: 'agent-7', initiated_by: 'user-1' }
  const explain = async (claims: object) => {
    const { method, url, headers } = kit.call({ token: { claims: { intent: { ...intent, ...claims } } } })
    const fields = new Headers(headers.map(([...field]) => field))
    const { stages } = await verifier.explain({ method, url, headers: fields })
    return stages.flatMap(({ checks }) => checks).find(({ name }) => name === 'limit')
  }
  expect(await explain({ run_id: 'run-1' })).toMatchObject({
    outcome: 'not_checked',
    found: '1 of 1, 1 of 1',
  })
  expect(await explain({})).toMatchObject({ outcome: 'failed', expected: 'an id: the limit counts per run' })
  expect(calls).toEqual([])
})

describe('a wrong limit is a PolicyError', () => {
  const problemOf = (limit: unknown, others: object = {}) => {
    try {
      createVerifier({ ...defaultPolicy(), routes: { 'GET /orders/:id': { limit } as RouteRule, ...others } })
    } catch (error) {
      return (error as PolicyError).issues.map(({ path, message }) => `${path}: ${message}`).join('; ')
    }
    return ''
  }
  const at = 'routes["GET /orders/:id"].limit'

  it.each<[string, unknown, string]>([
    ['no per', { max: 1 }, `${at}.per: is missing: it must be "token" or "agent" or`],
    ['an unknown per', { per: 'user', max: 1 }, `${at}.per: must be "token" or`],
    ['no max', { per: 'token' }, `${at}.max: is missing`],
    ['max 0', { per: 'token', max: 0 }, `${at}.max: must be more than 0`],
    ['max that is no number', { per: 'token', max: Number.NaN }, `${at}.max`],
    ['max too large', { per: 'token', max: 1e12 }, `${at}.max: must be at most 900,000,000,000`],
    ['max that is no pointer', { per: 'token', max: 'calls' }, `${at}.max`],
    ['an undefined max', { per: 'token', max: undefined }, `${at}.max: is undefined`],
    [
      'a window of part of a second',
      { per: 'token', max: 1, window: 0.5 },
      `${at}.window: must be a whole number`,
    ],
    [
      'a window too long',
      { per: 'token', max: 1, window: 3e6 },
      `${at}.window: must be a whole number, 1 to 2678400 seconds`,
    ],
    ['an undefined window', { per: 'token', max: 1, window: undefined }, `${at}.window: is undefined`],
    ['a name with a quote', { per: 'token', max: 1, name: 'a"b' }, `${at}.name: must be 1 to 64 letters`],
    ['a misspelt key', { per: 'token', max: 1, windw: 1 }, `${at}.windw: is not a key here`],
    ['a cost', { per: 'token', max: 1, cost: 1 }, `${at}.cost: is for requireIntent and checkIntent`],
    ['no limit', [], `${at}: must name at least one limit`],
    ['a number', 5, `${at}: must be { per, max, window, name, skipServerErrors }, or an array of these`],
    [
      'the same twice',
      [
        { per: 'token', max: 1 },
        { per: 'token', max: 2 },
      ],
      `${at}[1]: counts the same as an earlier limit`,
    ],
    [
      'a name twice',
      [
        { per: 'token', max: 1, name: 'a' },
        { per: 'token', max: 2, name: 'a' },
      ],
      `${at}[1]: has the name of an earlier limit`,
    ],
  ])('%s', (_, limit, problem) => {
    expect(problemOf(limit)).toContain(problem)
  })

  it('two windows of one name', () => {
    const other = { 'GET /agents/:id': { limit: { per: 'agent', max: 9, window: 30, name: 'reads' } } }
    expect(problemOf({ per: 'agent', max: 1, window: 60, name: 'reads' }, other)).toBe(
      'routes["GET /agents/:id"].limit.window: must be 60, as in another rule with the limit "reads": limits of one name are one counter',
    )
    expect(problemOf({ per: 'token', max: 1, window: 60, name: 'reads' }, other)).toBe('')
  })

  it('accepts two of one kind with two windows', () => {
    const limits = [
      { per: 'agent', max: 1, window: 1 },
      { per: 'agent', max: 100, window: 3600 },
    ]
    expect(problemOf(limits)).toBe('')
  })

  it('an option that is no store', () => {
    expect(() => createVerifier(defaultPolicy(), { limitStore: {} as LimitStore })).toThrow(
      /options\.limitStore: must have a method consume/,
    )
  })
})
