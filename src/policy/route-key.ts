import { nearest } from '../lib/nearest.js'
import { registeredMethods } from './methods.js'

/** One segment of a path pattern. */
export type Segment =
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'param'; readonly name: string }
  | { readonly kind: 'rest' }

/** A key of `routes`, read. */
export interface RouteKey {
  readonly key: string
  /** Upper-case methods; `*` stands for every method. */
  readonly methods: readonly string[]
  /** The path pattern as written. */
  readonly path: string
  readonly segments: readonly Segment[]
  readonly hasTrailingSlash: boolean
}

// What a path can spell in one way only, and no router takes for a pattern of its own.
const literalSegment = /^[A-Za-z0-9._~&',;=@-]+$/
const methodNames: ReadonlySet<string> = new Set(registeredMethods)

/** Whether a segment is literal to every router. */
export function isLiteral(text: string): boolean {
  return literalSegment.test(text) && text !== '.' && text !== '..'
}

/** Reads `METHOD /path`; a string is what is wrong with it. */
export function parseRouteKey(key: string): RouteKey | string {
  const match = /^(\S+) (\/\S*)$/.exec(key)
  if (match === null) return 'must be written as "METHOD /path", such as "GET /orders/:id"'
  const methods = (match[1] as string).split(',')
  const path = match[2] as string
  const wrongMethod = methods.find((method) => method !== '*' && !methodNames.has(method))
  if (wrongMethod !== undefined) return explainMethod(wrongMethod)
  if (new Set(methods).size < methods.length) return 'names a method twice'
  if (methods.includes('*') && methods.length > 1) return '"*" stands for every method, and so alone'

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
    if (segment.kind === 'rest' && (index < texts.length - 1 || hasTrailingSlash)) {
      return '"*" can only be the last segment'
    }
    if (segment.kind === 'param') {
      if (names.has(segment.name)) return `":${segment.name}" stands twice in the path`
      names.add(segment.name)
    }
    segments.push(segment)
  }
  return segments
}

/** Reads one segment of a path; a string is what is wrong with it. */
function readSegment(text: string): Segment | string {
  if (text === '*') return { kind: 'rest' }
  if (text.startsWith(':')) {
    const name = text.slice(1)
    if (!/^[A-Za-z_]\w*$/.test(name) || name === '__proto__') {
      return `":${name}" is not a parameter: a segment is a literal, ":name", or a final "*"`
    }
    return { kind: 'param', name }
  }
  if (text === '') return 'has an empty segment ("//")'
  if (text === '.' || text === '..') return 'has a dot segment, which no request reaches'
  if (!literalSegment.test(text)) {
    return `segment "${text}" holds a character that is not literal in every router`
  }
  return { kind: 'literal', text }
}

function explainMethod(method: string): string {
  const problem = `"${method}" is not a method that HTTP has registered`
  if (/^(all|any)$/i.test(method)) return `${problem}: "*" stands for every method`
  const meant = nearest(method, registeredMethods)
  if (meant !== undefined) return `${problem}; did you mean "${meant}"?`
  return `${problem}: write one in capitals, several as "GET,POST", or "*" for every method`
}
