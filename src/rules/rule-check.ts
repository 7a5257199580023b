import { sha256 } from '#runtime'
import type { MaybePromise } from '../lib/promise.js'
import type { CheckObserver, Refusal } from '../refusal.js'
import type { ConsumeOnce } from '../stores/replay.js'
import type { Rule } from './rule.js'
import type { RuleInput } from './rule-input.js'

/** Checks a rule. A single-use token is consumed last, after all other conditions hold. */
export type RuleCheck = (
  rule: Rule,
  input: RuleInput,
  observer?: CheckObserver,
) => MaybePromise<Refusal | undefined>

export function createRuleCheck(consumeOnce: ConsumeOnce): RuleCheck {
  return (rule, input, observer) => {
    const denial = rule.check(input, observer)
    if (denial !== undefined || !rule.once) return denial
    const { issuer, jti, iat, exp, limits } = input.token
    observer?.skip('once', 'a token that was not used before')
    const { clockTolerance } = limits
    const use = {
      kind: 'token',
      owner: sha256(`once ${issuer}`),
      id: jti,
      // As long as any process with this policy could accept the token.
      ttl: exp + 2 * clockTolerance - input.now,
      longestTtl: exp - iat + 3 * clockTolerance,
    } as const
    return consumeOnce(use, input.consumed)
  }
}
