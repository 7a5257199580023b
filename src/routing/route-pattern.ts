import { ownMember } from '../lib/objects.js'
import { isLiteral, type Segment } from '../policy/route-key.js'
import { isPlainValue } from '../request/path.js'

/** A path pattern as a framework writes it, in the segments that policies have. */
export interface RoutePattern {
  readonly segments: readonly Segment[]
  readonly hasTrailingSlash: boolean
  /** Whether the last segment is a parameter that may be missing, as in `/a/:b?`. */
  readonly isLastOptional: boolean
  /** Names of parameters with a constraint of their own, which may match slashes. */
  readonly constrained: ReadonlySet<string>
  /** The name under which the framework has the text of a final wildcard. */
  readonly restName: string
  /** Whether that text is the whole path, with its first slash: `*` in Fastify. */
  readonly isWholePath: boolean
}

/** Patterns that were read before. Their number is the app's own, unless somebody passes paths as patterns. */
const known = new Map<string, RoutePattern | undefined>()
const maxKnown = 10_000

/**
 * Reads a framework's pattern: `/a/:b`, constrained parameters (`:b(\\d+)` in Fastify and Express 4, `:b{[0-9]+}` in
 * Hono), a last parameter that may be missing (`:b?`, `{/:b}`), and a final wildcard (`*`, `*rest`, `{*rest}`,
 * `{/*rest}`). Undefined for all that a policy has no shape for.
 */
export function readRoutePattern(route: string): RoutePattern | undefined {
  if (known.has(route)) return known.get(route)
  const pattern = parse(route)
  if (known.size < maxKnown) known.set(route, pattern)
  return pattern
}

function parse(route: string): RoutePattern | undefined {
  const constrained = new Set<string>()
  if (route === '*' || route === '/') {
    const segments = route === '*' ? [rest] : []
    const none = { hasTrailingSlash: false, isLastOptional: false, constrained }
    return { segments, ...none, restName: '*', isWholePath: route === '*' }
  }
  // Express 5 and Koa: an optional end in braces.
  const optionalEnd = /^(.*)\{(\/)?([:*]\w+)\}$/.exec(route)
  const [, start = '', slash = '', end = ''] = optionalEnd ?? []
  const isOptionalParameter = end.startsWith(':')
  if (optionalEnd !== null && isOptionalParameter && slash === '') return undefined
  const texts = splitSegments(optionalEnd === null ? route : start + slash + end)
  if (texts === undefined) return undefined

  const hasTrailingSlash = texts[texts.length - 1] === ''
  if (hasTrailingSlash) texts.pop()
  const segments = parseSegments(texts, hasTrailingSlash ? undefined : texts.length - 1, constrained)
  if (segments === undefined) return undefined
  const isLastOptional = isOptionalParameter || texts.some((text) => text.endsWith('?'))
  const restName = /\*(\w+)\}?$/.exec(route)?.[1] ?? '*'
  return { segments, hasTrailingSlash, isLastOptional, constrained, restName, isWholePath: false }
}

/** Adds the names of parameters that have a constraint to `constrained`. */
function parseSegments(
  texts: readonly string[],
  last: number | undefined,
  constrained: Set<string>,
): Segment[] | undefined {
  const segments: Segment[] = []
  const names: string[] = []
  for (const [index, text] of texts.entries()) {
    const segment = parseSegment(index === last ? text.replace(/\?$/, '') : text)
    if (segment === undefined || !mayStand(segment, text, index === last)) return undefined
    if (segment.kind === 'param') names.push(segment.name)
    if (segment.kind === 'param' && /[({]/.test(text)) constrained.add(segment.name)
    segments.push(segment)
  }
  return new Set(names).size < names.length ? undefined : segments
}

/** A wildcard stands at the end, and "?" behind a parameter. */
function mayStand({ kind }: Segment, text: string, isLast: boolean): boolean {
  if (kind === 'rest' && !isLast) return false
  return kind === 'param' || !text.endsWith('?')
}

const rest: Segment = Object.freeze({ kind: 'rest' })

function parseSegment(text: string): Segment | undefined {
  if (/^\*\w*$/.test(text)) return rest
  const parameter = /^:([A-Za-z_]\w*)(.*)$/s.exec(text)
  if (parameter === null) return isLiteral(text) ? { kind: 'literal', text } : undefined
  const [, name = '', constraint = ''] = parameter
  if (constraint !== '' && !isOneGroup(constraint)) return undefined
  return { kind: 'param', name }
}

/** The texts between the slashes, but for slashes in the constraint of a parameter. */
function splitSegments(path: string): string[] | undefined {
  if (!path.startsWith('/')) return undefined
  const texts: string[] = []
  let depth = 0
  let start = 1
  for (let at = 1; at < path.length; at++) {
    const character = path[at] as string
    if (character === '\\') at++
    else if ('({'.includes(character)) depth++
    else if (')}'.includes(character)) depth--
    else if (character === '/' && depth === 0) {
      texts.push(path.slice(start, at))
      start = at + 1
    }
  }
  texts.push(path.slice(start))
  return depth === 0 ? texts : undefined
}

/**
 * Whether all of a text is one group in parentheses or braces, and so the constraint of one parameter. Brackets
 * that hold either are not read: they could hide where the group ends.
 */
function isOneGroup(text: string): boolean {
  const [open, close] = text.startsWith('(') ? '()' : '{}'
  if (text[0] !== open || /\[[^\]]*[(){}]/.test(text)) return false
  let depth = 0
  for (let at = 0; at < text.length; at++) {
    if (text[at] === '\\') at++
    else if (text[at] === open) depth++
    else if (text[at] === close) depth--
    if (depth === 0) return at === text.length - 1
  }
  return false
}

/** What a pattern means for one request: without its optional end where that is missing. */
export interface BoundPattern {
  readonly segments: readonly Segment[]
  readonly hasTrailingSlash: boolean
  /** The values of its parameters, in their order. */
  readonly values: readonly string[]
}

/**
 * Takes the values of a pattern's parameters. Undefined where one is missing, or is not what one segment of a path can
 * be: a constraint may match slashes, and then the pattern is of another shape. A value with a control character or a
 * dot segment is none either: a file system or another server would take `public/../secret` for `secret`.
 */
export function bindPattern(pattern: RoutePattern, params: object): BoundPattern | undefined {
  const { segments, hasTrailingSlash, isLastOptional, constrained } = pattern
  if (!isPlainRest(pattern, params)) return undefined
  const values: string[] = []
  for (const [index, segment] of segments.entries()) {
    if (segment.kind !== 'param') continue
    const value = ownMember(params, segment.name)
    const isMissing = value === undefined || value === ''
    if (isMissing && isLastOptional && index === segments.length - 1) {
      return { segments: segments.slice(0, -1), hasTrailingSlash, values }
    }
    if (isMissing || typeof value !== 'string') return undefined
    if (!isPlainValue(value) || (constrained.has(segment.name) && value.includes('/'))) return undefined
    values.push(value)
  }
  return { segments, hasTrailingSlash, values }
}

/** Whether no segment of a wildcard's text is empty, but for a slash at the end, and none leads out of its folder. */
function isPlainRest({ segments, restName, isWholePath }: RoutePattern, params: object): boolean {
  if (segments[segments.length - 1]?.kind !== 'rest') return true
  const value = ownMember(params, restName)
  const text = Array.isArray(value) ? value.join('/') : value
  if (typeof text !== 'string') return true
  return isPlainValue(text) && !/^\/|\/\//.test(isWholePath ? text.replace('/', '') : text)
}
