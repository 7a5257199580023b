import { toArray } from '../../lib/to-array.js'
import type { Limit, RouteRule } from '../../policy/policy.js'
import { type Change, compareNumbers, type Difference, toChange } from './change.js'

/** The rule that one of two policies has for a request. */
export interface RuleSide {
  readonly key: string
  readonly rule: RouteRule
  /** The most hops of the policy. */
  readonly maxDepth: number
}

/**
 * Differences that one request cannot show: uses of one token, `authorize`, chains that are too long to make.
 */
export function compareRules(request: string, was: RuleSide, is: RuleSide): Change[] {
  const keys = [was.key, is.key] as const
  const compare = (difference: Omit<Difference, 'request' | 'keys'>) =>
    toChange({ request, keys, ...difference })
  return [
    ...onceChanges(was.rule, is.rule, compare),
    ...limitChanges(was.rule, is.rule, compare),
    ...authorizeChanges(was.rule, is.rule, compare),
    ...compareNumbers(depthOf(was), depthOf(is), (more) => ({
      request,
      keys,
      by: `with a token with a chain of ${more} hops`,
      denied: 'delegation_not_allowed',
    })),
  ]
}

type Compare = (difference: Omit<Difference, 'request' | 'keys'>) => Change

function onceChanges(was: RouteRule, is: RouteRule, compare: Compare): Change[] {
  const [before, after] = [was.once === true, is.once === true]
  if (before === after) return []
  return [compare({ isWeaker: before, by: 'with a token that was used before', denied: 'token_reused' })]
}

/** `authorize: true` needs the hook, the default asks it where there is one, `false` never does. */
function authorizeChanges(was: RouteRule, is: RouteRule, compare: Compare): Change[] {
  const levelOf = ({ authorize }: RouteRule) => (authorize === undefined ? 1 : authorize ? 2 : 0)
  const [before, after] = [levelOf(was), levelOf(is)]
  if (before === after) return []
  const by =
    Math.min(before, after) === 0
      ? 'with a token that the hook authorize refuses'
      : 'with a token that the hook authorize would refuse, on a verifier without it'
  return [compare({ isWeaker: after < before, by, denied: 'not_authorized' })]
}

function limitChanges(was: RouteRule, is: RouteRule, compare: Compare): Change[] {
  const [before, after] = [limitsOf(was), limitsOf(is)]
  const without = (limits: readonly Limit[], others: readonly Limit[]) =>
    limits.filter((limit) => !others.some((other) => isAtLeastAsStrict(other, limit)))
  return [
    ...without(before, after).map((limit) => [limit, true] as const),
    ...without(after, before).map((limit) => [limit, false] as const),
  ].map(([limit, isWeaker]) => compare({ isWeaker, by: beyond(limit), denied: 'limit_exceeded' }))
}

function limitsOf({ limit }: RouteRule): readonly Limit[] {
  return limit === undefined ? [] : toArray<Limit>(limit)
}

function isAtLeastAsStrict(limit: Limit, other: Limit): boolean {
  const { per, name, max, window = Number.POSITIVE_INFINITY } = limit
  const { window: otherWindow = Number.POSITIVE_INFINITY } = other
  if (per !== other.per || name !== other.name || window < otherWindow) return false
  return max === other.max || (typeof max === 'number' && typeof other.max === 'number' && max < other.max)
}

function beyond({ per, max, window }: Limit): string {
  const time = window === undefined ? '' : ` within ${window} s`
  return `after ${typeof max === 'number' ? max : `as many as ${max} says`} for one ${per}${time}`
}

/** Longer than any chain that an example has. */
function depthOf({ rule, maxDepth }: RuleSide): number {
  const depth = Math.min(maxDepth, rule.delegation?.maxDepth ?? maxDepth)
  return Math.max(longestExample, depth)
}

/** The most hops of an example. */
export const longestExample = 5
