import { sha256 } from '../jose/sha256.js'
import type { UseOnce } from '../replay.js'
import type { Rule, RuleDenial, RuleSubject } from './rule.js'

/** Whether a rule holds; a token that is good for one request is used up last, when all else holds. */
export type RuleCheck = (rule: Rule, subject: RuleSubject) => Promise<RuleDenial | undefined>

export function createRuleCheck(clockTolerance: number, useOnce: UseOnce): RuleCheck {
  return async (rule, subject) => {
    const denial = rule.check(subject)
    if (denial !== undefined || !rule.once) return denial
    const { issuer, jti, exp } = subject.token
    const key = `${sha256(`once ${issuer}`)}.${sha256(jti)}`
    // As long as any process with this policy could still accept the token.
    const code = await useOnce(key, exp + 2 * clockTolerance - subject.now, 'token_reused')
    return code && { code, details: undefined }
  }
}
