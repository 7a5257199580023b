import { isSameJson } from '../policy/json-pointer.js'
import type { Segment } from '../policy/route-key.js'
import type { PolicyData, RuleData } from '../policy/schema.js'
import { createRouteTable, type Route, type RoutingSemantics } from './table.js'

type Access = PolicyData['routes'][string]

/** A compiled route with its access as written in the policy. */
export interface DeclaredRoute {
  readonly route: Route
  readonly access: Access
}

const allSemantics: readonly RoutingSemantics[] = [true, false].flatMap((caseSensitive) =>
  [true, false].flatMap((strict) =>
    [true, false].map((wildcardMatchesEmpty) => ({ caseSensitive, strict, wildcardMatchesEmpty })),
  ),
)

/**
 * Reports HEAD keys with a weaker rule than the GET key for the same path. Without a HEAD handler, routers
 * answer HEAD with the GET handler, which would then run under the weaker rule.
 */
export function findWeakerHeadRules(
  declared: readonly DeclaredRoute[],
  report: (key: string, message: string) => void,
): void {
  const hasMethod = ({ route }: DeclaredRoute, method: string) => route.methods.includes(method)
  const heads = declared.filter((entry) => hasMethod(entry, 'HEAD') && !hasMethod(entry, 'GET'))
  if (heads.length === 0) return
  const routes = declared.map(({ route }) => route)
  const table = createRouteTable(routes)
  const others = declared.filter((entry) => hasMethod(entry, 'GET') || hasMethod(entry, '*'))
  const longest = Math.max(...routes.map(({ segments }) => segments.length)) + 1

  /** Whether some router uses these two keys for the same path. */
  function shareAPath(head: Route, other: Route): boolean {
    return commonPaths(head.segments, other.segments, longest).some((path) =>
      allSemantics.some(
        (semantics) =>
          table.findRoute('HEAD', path, semantics) === head &&
          table.findRoute('GET', path, semantics) === other,
      ),
    )
  }

  for (const head of heads) {
    const looser = others.find(
      (other) => !isAtLeastAsStrict(head.access, other.access) && shareAPath(head.route, other.route),
    )
    if (looser === undefined) continue
    const other = JSON.stringify(looser.route.key)
    report(
      head.route.key,
      `needs less than ${other}, and routers answer HEAD with the handler of that key: ` +
        'remove this key, so that the rule for GET applies, or add every condition of the other key',
    )
  }
}

/**
 * Sample paths that both patterns match. Parameters and `*` are filled with a text that no key contains, so
 * that a path matches only the patterns that match all such paths.
 */
function commonPaths(one: readonly Segment[], other: readonly Segment[], longest: number): readonly string[] {
  const paths: string[] = []
  for (let length = 0; length <= longest; length++) {
    const path = commonPath(one, other, length)
    if (path !== undefined) paths.push(`/${path.join('/')}`, `/${path.join('/')}/`)
  }
  return paths
}

function commonPath(
  one: readonly Segment[],
  other: readonly Segment[],
  length: number,
): string[] | undefined {
  if (!canHaveLength(one, length) || !canHaveLength(other, length)) return undefined
  const path: string[] = []
  for (let index = 0; index < length; index++) {
    const texts = [one[index], other[index]].flatMap((segment) =>
      segment?.kind === 'literal' ? [segment.text] : [],
    )
    if (texts.length === 2 && texts[0]?.toLowerCase() !== texts[1]?.toLowerCase()) return undefined
    path.push(texts[0] ?? `any!${index}`)
  }
  return path
}

/** Whether a pattern matches paths of `length` segments. In some routers a `*` also matches no segment. */
function canHaveLength(segments: readonly Segment[], length: number): boolean {
  return segments[segments.length - 1]?.kind === 'wildcard'
    ? length >= segments.length - 1
    : length === segments.length
}

/** Whether every request that the first rule allows is also allowed by the second. */
function isAtLeastAsStrict(one: Access, other: Access): boolean {
  if (other === 'public') return true
  if (one === 'public') return false
  const rule = toRule(one)
  const conditionsOfOne: Readonly<Record<string, unknown>> = rule
  const { scope, mode, anonymous, ...conditions } = toRule(other)
  if (rule.mode === 'observe' && mode !== 'observe') return false
  if (anonymousLevel(rule.anonymous) > anonymousLevel(anonymous)) return false
  if (!includesScopes(rule.scope, scope)) return false
  return Object.entries(conditions).every(
    ([name, condition]) =>
      condition === false || (Object.hasOwn(rule, name) && isSameJson(conditionsOfOne[name], condition)),
  )
}

function toRule(access: Exclude<Access, 'public'>): RuleData {
  return access === 'authenticated' ? {} : access
}

/** 0: no request passes without a grant. 1: without credentials. 2: also with foreign credentials. */
function anonymousLevel(anonymous: RuleData['anonymous']): number {
  if (anonymous === 'foreign') return 2
  return anonymous === true ? 1 : 0
}

/** Whether a token that meets the first scope condition always meets the second. */
function includesScopes(scope: RuleData['scope'], other: RuleData['scope']): boolean {
  if (other === undefined) return true
  if (isAny(scope) || isAny(other)) return isSameJson(scope, other)
  const scopes = [scope ?? []].flat()
  return [other].flat().every((needed) => scopes.includes(needed))
}

function isAny(scope: RuleData['scope']): scope is { any: string[] } {
  return typeof scope === 'object' && 'any' in scope
}
