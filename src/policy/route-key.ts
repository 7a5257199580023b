import { nearest } from '../lib/nearest.js'
import { registeredMethods } from './methods.js'

/** One segment of a path pattern. */
export type Segment =
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'param'; readonly name: string }
  | { readonly kind: 'wildcard' }

/** A parsed key of `routes`. */
export interface RouteKey {
  readonly key: string
  /** Methods in upper case. `*` stands for every method. */
  readonly methods: readonly string[]
  /** The path pattern as written. */
  readonly path: string
  readonly segments: readonly Segment[]
  readonly hasTrailingSlash: boolean
}

// Characters that have one spelling in a path and no meaning in the patterns of any router.
const literalSegment = /^[A-Za-z0-9._~&',;=@-]+$/
const methodNames: ReadonlySet<string> = new Set(registeredMethods)

/** Whether every router matches the segment literally. */
export function isLiteral(text: string): boolean {
  return literalSegment.test(text) && text !== '.' && text !== '..'
}

/** Parses `METHOD /path`. Returns a message if the key is wrong. */
export function parseRouteKey(key: string): RouteKey | string {
  const match = /^(\S+) (\/\S*)$/.exec(key)
  if (match === null) return 'must be written as "METHOD /path", such as "GET /orders/:id"'
  const [, methodList = '', path = ''] = match
  const methods = methodList.split(',')
  const wrongMethod = methods.find((method) => method !== '*' && !methodNames.has(method))
  if (wrongMethod !== undefined) return explainMethod(wrongMethod)
  if (new Set(methods).size < methods.length) return 'names a method twice: remove one of them'
  if (methods.includes('*') && methods.length > 1) return '"*" stands for every method: remove the others'

  const hasTrailingSlash = path.length > 1 && path.endsWith('/')
  const texts = path === '/' ? [] : path.slice(1, hasTrailingSlash ? -1 : undefined).split('/')
  const segments = readSegments(texts, hasTrailingSlash)
  if (typeof segments === 'string') return segments
  return { key, methods, path, segments, hasTrailingSlash }
}

function readSegments(texts: readonly string[], hasTrailingSlash: boolean): Segment[] | string {
  const segments: Segment[] = []
  const names = new Set<string>()
  for (const [index, text] of texts.entries()) {
    const segment = readSegment(text)
    if (typeof segment === 'string') return segment
    if (segment.kind === 'wildcard' && (index < texts.length - 1 || hasTrailingSlash)) {
      return '"*" can only be the last segment'
    }
    if (segment.kind === 'param') {
      if (names.has(segment.name)) return `":${segment.name}" occurs twice in the path: rename one of them`
      names.add(segment.name)
    }
    segments.push(segment)
  }
  return segments
}

/** Parses one segment. Returns a message if it is wrong. */
function readSegment(text: string): Segment | string {
  if (text === '*') return { kind: 'wildcard' }
  if (text.startsWith(':')) {
    const name = text.slice(1)
    if (!/^[A-Za-z_]\w*$/.test(name) || name === '__proto__') {
      return `":${name}" is not a parameter: a segment is a literal, ":name", or a final "*"`
    }
    return { kind: 'param', name }
  }
  if (text === '') return 'has an empty segment ("//"): remove one slash'
  if (text === '.' || text === '..') return 'has a dot segment, which no request can reach: remove it'
  if (!literalSegment.test(text)) {
    const allowed = "A-Z a-z 0-9 . _ ~ & ' , ; = @ -"
    return `segment "${text}" has a character that is not literal in every router: allowed are ${allowed}`
  }
  return { kind: 'literal', text }
}

function explainMethod(method: string): string {
  const problem = `"${method}" is not a registered HTTP method`
  if (/^(all|any)$/i.test(method)) return `${problem}: "*" stands for every method`
  const meant = nearest(method, registeredMethods)
  if (meant !== undefined) return `${problem}; did you mean "${meant}"?`
  return `${problem}: write one in upper case, several as "GET,POST", or "*" for every method`
}
