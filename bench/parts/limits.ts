/** What `limit` costs: a request of a policy without limits, and one that is counted. */
import { compilePolicy } from '../../src/compile/compile-policy.js'
import { createVerifier, memoryLimitStore, type Policy, type RouteRule } from '../../src/index.js'
import { compileRule } from '../../src/rules/rule.js'
import { createRuleCheck } from '../../src/rules/rule-check.js'
import type { RuleInput } from '../../src/rules/rule-input.js'
import { createLimiter } from '../../src/stores/limits.js'
import { benchPolicy } from './contenders.js'
import { fixed, type Report } from './report.js'
import { interleave, type Timed, type Timing } from './statistics.js'
import { timedRequests } from './timed-requests.js'
import { createWorkload } from './workload.js'

const route = 'GET /orders/:id'
const limit = { per: 'agent', max: 1_000_000_000, window: 3600 } as const

function withLimit(policy: Policy, key: string, limits: NonNullable<RouteRule['limit']>): Policy {
  const rule = policy.routes[key]
  return { ...policy, routes: { ...policy.routes, [key]: { ...(rule as RouteRule), limit: limits } } }
}

export async function limitSection(report: Report): Promise<void> {
  const workload = createWorkload('ES256')
  const plain = benchPolicy(workload)
  const agent = workload.agent()
  const token = workload.token(agent)
  const contender = (name: string, policy: Policy) =>
    timedRequests(name, createVerifier(policy), () => workload.request(agent, token))
  const timings = await interleave(
    [
      contender('no limit in the policy', plain),
      contender('a limit on another route', withLimit(plain, 'POST /orders/:id/refund', limit)),
      contender('a limit, in memory', withLimit(plain, route, limit)),
      contender('two limits, in memory', withLimit(plain, route, [limit, { ...limit, per: 'token' }])),
    ],
    { rounds: 150, runs: 50 },
  )
  const unused = await unusedMicros(plain)
  const [base] = timings as [Timing]
  report.heading('Limits')
  report.text(
    'Rounds that take turns, with a known token and new proofs. The ratio is the median of the ratios to the ' +
      'first row in the same round.',
  )
  report.table(
    ['', 'time', 'least', 'ratio'],
    timings.map(({ name, micros, least, ratio }) => [
      name,
      `${fixed(micros)} µs`,
      `${fixed(least)} µs`,
      fixed(ratio, 3),
    ]),
  )
  report.text(
    `Where no rule has a limit, the code for limits, \`authorize\` and \`once\` takes ${fixed(unused * 1000)} ns of a ` +
      `request: ${fixed((unused / base.micros) * 100, 3)} %. Target: less than 2 %.`,
  )
}

/** Microseconds of a rule's check beyond its conditions, where it uses nothing up. */
async function unusedMicros(policy: Policy): Promise<number> {
  const rule = compileRule({}, compilePolicy(policy).ruleContext, 'bench')
  const limiter = createLimiter(memoryLimitStore())
  const check = createRuleCheck({ consumeOnce: () => undefined, limiter, authorizer: undefined })
  // A rule without conditions reads nothing of its input.
  const input = {} as RuleInput
  const repeat = (name: string, run: () => unknown): Timed => ({
    name,
    round: (runs) => () => {
      for (let index = 0; index < runs; index++) {
        if (run() !== undefined) throw new Error('a rule without conditions has refused')
      }
    },
  })
  const [conditions, whole] = (await interleave(
    [repeat('conditions', () => rule.check(input)), repeat('whole', () => check(rule, input))],
    { rounds: 200, runs: 10_000 },
  )) as [Timing, Timing]
  return Math.max(0, whole.micros - conditions.micros)
}
