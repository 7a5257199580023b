import { sha256 } from '#runtime'
import type { MaybePromise } from '../lib/promise.js'
import { type CheckObserver, isRefusal, Refusal } from '../refusal.js'
import { type Charge, type Limiter, undoCharges } from '../stores/limits.js'
import type { ConsumeOnce } from '../stores/replay.js'
import type { Authorizer } from './authorize.js'
import { consumeLimits, findUses } from './limit.js'
import type { Rule } from './rule.js'
import type { RequestCheck, RuleInput } from './rule-input.js'

/**
 * Checks a rule: its conditions, those on the request's content, the hook `authorize`, all its limits or
 * none, then `once`.
 */
export type RuleCheck = (
  rule: Rule,
  input: RuleInput,
  observer?: CheckObserver,
) => MaybePromise<Refusal | undefined>

/** The stores that the last checks of a rule write to. Without a limiter, `explain` writes nothing. */
export interface RuleCheckOptions {
  readonly consumeOnce: ConsumeOnce
  readonly limiter: Limiter | undefined
  /** The hook `authorize`. `skip` for `explain`, which calls no hook. */
  readonly authorizer: Authorizer | 'skip' | undefined
}

/**
 * For `explain`. A hook that is there is left out; one that a rule asks for and that is missing still denies.
 */
export function usesNothingUp(hasAuthorizer: boolean): RuleCheckOptions {
  return { consumeOnce: () => undefined, limiter: undefined, authorizer: hasAuthorizer ? 'skip' : undefined }
}

const missingHook = { reason: 'the rule has authorize: true, and createVerifier got no option authorize' }

/** For a rule that came here without the check of an adapter. */
const refuseWithoutRequest: RequestCheck = async () =>
  new Refusal('internal_error', { reason: 'a rule with body, query or digest, and no request to compare' })

export function createRuleCheck({ consumeOnce, limiter, authorizer }: RuleCheckOptions): RuleCheck {
  function useOnce({ token, now, consumed }: RuleInput): MaybePromise<Refusal | undefined> {
    const { issuer, jti, iat, exp, limits } = token
    const { clockTolerance } = limits
    const use = {
      kind: 'token',
      owner: sha256(`once ${issuer}`),
      id: jti,
      // As long as any process with this policy could accept the token.
      ttl: exp + 2 * clockTolerance - now,
      longestTtl: exp - iat + 3 * clockTolerance,
    } as const
    return consumeOnce(use, consumed)
  }

  async function countLimits(
    rule: Rule,
    input: RuleInput,
    observer: CheckObserver | undefined,
  ): Promise<readonly Charge[] | Refusal> {
    if (rule.limits.length === 0) return []
    const expected = rule.limits.map(({ name }) => name).join(', ')
    observer?.begin('limit', expected)
    const uses = await findUses(rule.limits, input)
    if (isRefusal(uses)) return uses
    observer?.skip('limit', expected, uses.map(({ cost, max }) => `${cost} of ${max}`).join(', '))
    return limiter === undefined ? [] : consumeLimits(uses, limiter, input)
  }

  async function askAuthorizer(
    rule: Rule,
    input: RuleInput,
    observer: CheckObserver | undefined,
  ): Promise<Refusal | undefined> {
    if (rule.authorize === false) return undefined
    if (authorizer === undefined) {
      if (rule.authorize !== 'required') return undefined
      observer?.begin('authorize', 'the option authorize')
      return new Refusal('internal_error', missingHook)
    }
    observer?.skip('authorize', 'a hook that allows the request')
    return authorizer === 'skip' ? undefined : authorizer(input)
  }

  async function finish(
    rule: Rule,
    input: RuleInput,
    observer: CheckObserver | undefined,
  ): Promise<Refusal | undefined> {
    const { checkRequest = refuseWithoutRequest } = input
    const unmet = rule.needsRequest ? await checkRequest(input.token) : undefined
    if (unmet !== undefined) return unmet
    const unauthorized = await askAuthorizer(rule, input, observer)
    if (unauthorized !== undefined) return unauthorized
    const charges = await countLimits(rule, input, observer)
    if (isRefusal(charges)) return charges
    if (!rule.once) return undefined
    observer?.skip('once', 'a token that was not used before')
    const reused = await useOnce(input)
    if (reused !== undefined) undoCharges(input.consumed, charges)
    return reused
  }

  function isMoreToDo({ usesUp, authorize, needsRequest }: Rule): boolean {
    return usesUp || needsRequest || authorize === 'required' || (authorize && authorizer !== undefined)
  }

  return (rule, input, observer) => {
    const denial = rule.check(input, observer)
    if (denial !== undefined || !isMoreToDo(rule)) return denial
    return finish(rule, input, observer)
  }
}
