import { ownMember } from '../lib/objects.js'
import { isLiteral, type Segment } from '../policy/route-key.js'
import { isPlainValue } from '../request/path.js'

/** A path pattern of a framework, parsed into the segments of policies. */
export interface RoutePattern {
  readonly segments: readonly Segment[]
  readonly hasTrailingSlash: boolean
  /** Whether the last segment is an optional parameter, as in `/a/:b?`. */
  readonly isLastOptional: boolean
  /** Names of parameters with a constraint, which may match slashes. */
  readonly constrained: ReadonlySet<string>
  /** The name of a final wildcard in the params of the framework. */
  readonly wildcardName: string
  /** Whether the wildcard matches the whole path, with its first slash: `*` in Fastify. */
  readonly isWholePath: boolean
}

/** Parsed patterns. Bounded, because an app could pass paths as patterns. */
const cache = new Map<string, RoutePattern | undefined>()
const maxCached = 10_000

/**
 * Parses a pattern: `/a/:b`, constrained parameters (`:b(\\d+)` in Fastify and Express 4, `:b{[0-9]+}` in
 * Hono), an optional last parameter (`:b?`, `{/:b}`), and a final wildcard (`*`, `*rest`, `{*rest}`,
 * `{/*rest}`). Undefined for patterns that a policy cannot express.
 */
export function readRoutePattern(route: string): RoutePattern | undefined {
  if (cache.has(route)) return cache.get(route)
  const pattern = parse(route)
  if (cache.size < maxCached) cache.set(route, pattern)
  return pattern
}

function parse(route: string): RoutePattern | undefined {
  const constrained = new Set<string>()
  if (route === '*' || route === '/') {
    const segments = route === '*' ? [wildcard] : []
    const none = { hasTrailingSlash: false, isLastOptional: false, constrained }
    return { segments, ...none, wildcardName: '*', isWholePath: route === '*' }
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
  const wildcardName = /\*(\w+)\}?$/.exec(route)?.[1] ?? '*'
  return { segments, hasTrailingSlash, isLastOptional, constrained, wildcardName, isWholePath: false }
}

/** Adds the names of constrained parameters to `constrained`. */
function parseSegments(
  texts: readonly string[],
  last: number | undefined,
  constrained: Set<string>,
): Segment[] | undefined {
  const segments: Segment[] = []
  const names: string[] = []
  for (const [index, text] of texts.entries()) {
    const segment = parseSegment(index === last ? text.replace(/\?$/, '') : text)
    if (segment === undefined || !isValidPosition(segment, text, index === last)) return undefined
    if (segment.kind === 'param') names.push(segment.name)
    if (segment.kind === 'param' && /[({]/.test(text)) constrained.add(segment.name)
    segments.push(segment)
  }
  return new Set(names).size < names.length ? undefined : segments
}

/** A wildcard must be last, and "?" must follow a parameter. */
function isValidPosition({ kind }: Segment, text: string, isLast: boolean): boolean {
  if (kind === 'wildcard' && !isLast) return false
  return kind === 'param' || !text.endsWith('?')
}

const wildcard: Segment = Object.freeze({ kind: 'wildcard' })

function parseSegment(text: string): Segment | undefined {
  if (/^\*\w*$/.test(text)) return wildcard
  const parameter = /^:([A-Za-z_]\w*)(.*)$/s.exec(text)
  if (parameter === null) return isLiteral(text) ? { kind: 'literal', text } : undefined
  const [, name = '', constraint = ''] = parameter
  if (constraint !== '' && !isOneGroup(constraint)) return undefined
  return { kind: 'param', name }
}

/** Splits at slashes, except for slashes in the constraint of a parameter. */
function splitSegments(path: string): string[] | undefined {
  if (!path.startsWith('/')) return undefined
  const texts: string[] = []
  let depth = 0
  let start = 1
  for (let at = 1; at < path.length; at++) {
    const character = path.charAt(at)
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
 * Whether the text is one group in parentheses or braces: the constraint of one parameter. False for
 * parentheses or braces in brackets, which could hide the end of the group.
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

/** A pattern for one request: without its optional parameter if that is missing. */
export interface BoundPattern {
  readonly segments: readonly Segment[]
  readonly hasTrailingSlash: boolean
  /** The values of the parameters, in order. */
  readonly values: readonly string[]
}

/**
 * Reads the values of the parameters. Undefined if one is missing or is not one segment: a constraint can
 * match slashes. Undefined too for control characters and dot segments: a file system reads
 * `public/../secret` as `secret`.
 */
export function bindPattern(pattern: RoutePattern, params: object): BoundPattern | undefined {
  const { segments, hasTrailingSlash, isLastOptional, constrained } = pattern
  if (!isPlainWildcard(pattern, params)) return undefined
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

/** Whether the text of a wildcard has no dot segment, and no empty segment except at the end. */
function isPlainWildcard({ segments, wildcardName, isWholePath }: RoutePattern, params: object): boolean {
  if (segments[segments.length - 1]?.kind !== 'wildcard') return true
  const value = ownMember(params, wildcardName)
  const text = Array.isArray(value) ? value.join('/') : value
  if (typeof text !== 'string') return true
  return isPlainValue(text) && !/^\/|\/\//.test(isWholePath ? text.replace('/', '') : text)
}
