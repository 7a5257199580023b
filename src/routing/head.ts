import type { Json } from '../lib/json.js'
import { isSameJson } from '../policy/json-pointer.js'
import type { Segment } from '../policy/route-key.js'
import type { PolicyData, RuleData } from '../policy/schema.js'
import { createRouteTable, type Route, type RoutingSemantics } from './table.js'

type Access = PolicyData['routes'][string]

const everySemantics: readonly RoutingSemantics[] = [true, false].flatMap((caseSensitive) =>
  [true, false].flatMap((strict) => [true, false].map((emptyRest) => ({ caseSensitive, strict, emptyRest }))),
)

/**
 * Reports HEAD keys under which some path needs less than under the key of GET. Routers answer HEAD by the handler of
 * GET where they have no other, so that such a key would run that handler under the weaker rule.
 */
export function findLooserHead(
  routes: readonly Route[],
  accessOf: (key: string) => Access,
  report: (key: string, message: string) => void,
): void {
  const heads = routes.filter(({ methods }) => methods.includes('HEAD') && !methods.includes('GET'))
  if (heads.length === 0) return
  const table = createRouteTable(routes)
  const others = routes.filter(({ methods }) => methods.includes('GET') || methods.includes('*'))
  const longest = Math.max(...routes.map(({ segments }) => segments.length)) + 1

  /** Whether some way of reading paths finds these two keys for one path. */
  function answerOnePath(head: Route, other: Route): boolean {
    return commonPaths(head.segments, other.segments, longest).some((path) =>
      everySemantics.some(
        (semantics) =>
          table.findRoute('HEAD', path, semantics) === head &&
          table.findRoute('GET', path, semantics) === other,
      ),
    )
  }

  for (const head of heads) {
    const looser = others.find(
      (other) => !isAtLeastAsStrict(accessOf(head.key), accessOf(other.key)) && answerOnePath(head, other),
    )
    if (looser === undefined) continue
    report(
      head.key,
      `needs less than ${JSON.stringify(looser.key)}, whose handler routers run for HEAD as well: remove this key, and HEAD needs what GET does, or give it every condition of the other`,
    )
  }
}

/**
 * Paths that both patterns match, in no more letters than it takes: what a parameter or a `*` stands for is a text that
 * no key has, so that the only other patterns they match are those that match every such path.
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
  if (!fits(one, length) || !fits(other, length)) return undefined
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

/** Whether a pattern matches paths of so many segments; a `*` stands for none, too, in some routers. */
function fits(segments: readonly Segment[], length: number): boolean {
  return segments[segments.length - 1]?.kind === 'rest'
    ? length >= segments.length - 1
    : length === segments.length
}

/** Whether every request that meets the first of two rules meets the second one as well. */
export function isAtLeastAsStrict(one: Access, other: Access): boolean {
  if (other === 'public') return true
  if (one === 'public') return false
  const rule = toRule(one)
  const { scope, mode, anonymous, ...conditions } = toRule(other)
  if (rule.mode === 'observe' && mode !== 'observe') return false
  if (anonymity(rule.anonymous) > anonymity(anonymous)) return false
  if (!needsAsMuch(rule.scope, scope)) return false
  return Object.entries(conditions).every(
    ([name, condition]) =>
      condition === false ||
      (Object.hasOwn(rule, name) && isSameJson(rule[name as keyof RuleData] as Json, condition as Json)),
  )
}

function toRule(access: Exclude<Access, 'public'>): RuleData {
  return access === 'authenticated' ? {} : access
}

/** How many requests without a grant a rule lets through: none, those without credentials, foreign ones as well. */
function anonymity(anonymous: RuleData['anonymous']): number {
  if (anonymous === 'foreign') return 2
  return anonymous === true ? 1 : 0
}

/** Whether every token that has the scopes of the one has those of the other. */
function needsAsMuch(scope: RuleData['scope'], other: RuleData['scope']): boolean {
  if (other === undefined) return true
  if (isAny(scope) || isAny(other)) return isSameJson((scope ?? null) as Json, other as Json)
  const scopes = [scope ?? []].flat()
  return [other].flat().every((needed) => scopes.includes(needed))
}

function isAny(scope: RuleData['scope']): scope is { any: string[] } {
  return typeof scope === 'object' && 'any' in scope
}
