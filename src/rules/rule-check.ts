import { sha256 } from '../jws/sha256.js'
import type { MaybePromise } from '../lib/promise.js'
import type { Refusal } from '../refusal.js'
import type { ConsumeOnce } from '../stores/replay.js'
import type { Rule, RuleSubject } from './rule.js'

/** Whether a rule holds; a token that is good for one request is used up last, when all else holds. */
export type RuleCheck = (rule: Rule, subject: RuleSubject) => MaybePromise<Refusal | undefined>

export function createRuleCheck(consumeOnce: ConsumeOnce): RuleCheck {
  return (rule, subject) => {
    const denial = rule.check(subject)
    if (denial !== undefined || !rule.once) return denial
    const { issuer, jti, iat, exp, limits } = subject.token
    const { clockTolerance } = limits
    const use = {
      kind: 'token',
      owner: sha256(`once ${issuer}`),
      id: jti,
      // As long as any process with this policy could still accept the token.
      ttl: exp + 2 * clockTolerance - subject.now,
      longestTtl: exp - iat + 3 * clockTolerance,
    } as const
    return consumeOnce(use, subject.consumed)
  }
}
