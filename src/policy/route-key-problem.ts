import { nearest } from '../lib/nearest.js'
import { registeredMethods } from './methods.js'
import { isLiteral, parseRouteKey, type Segment } from './route-key.js'

const methodNames: ReadonlySet<string> = new Set(registeredMethods)

/** The mistake in a key of `routes`. */
export function findRouteKeyProblem(key: string): string | undefined {
  const parsed = parseRouteKey(key)
  if (parsed === undefined) return 'must be written as "METHOD /path", such as "GET /orders/:id"'
  const { methods, segments, hasTrailingSlash } = parsed
  const wrongMethod = methods.find((method) => method !== '*' && !methodNames.has(method))
  if (wrongMethod !== undefined) return explainMethod(wrongMethod)
  if (new Set(methods).size < methods.length) return 'names a method twice: remove one of them'
  if (methods.includes('*') && methods.length > 1) return '"*" stands for every method: remove the others'
  return findSegmentsProblem(segments, hasTrailingSlash)
}

function findSegmentsProblem(segments: readonly Segment[], hasTrailingSlash: boolean): string | undefined {
  const names = new Set<string>()
  for (const [index, segment] of segments.entries()) {
    const problem = findSegmentProblem(segment)
    if (problem !== undefined) return problem
    if (segment.kind === 'wildcard' && (index < segments.length - 1 || hasTrailingSlash))
      return '"*" can only be the last segment'
    if (segment.kind !== 'param') continue
    if (names.has(segment.name)) return `":${segment.name}" occurs twice in the path: rename one of them`
    names.add(segment.name)
  }
  return undefined
}

function findSegmentProblem(segment: Segment): string | undefined {
  if (segment.kind === 'wildcard') return undefined
  if (segment.kind === 'param') {
    const { name } = segment
    return /^[A-Za-z_]\w*$/.test(name) && name !== '__proto__'
      ? undefined
      : `":${name}" is not a parameter: a segment is a literal, ":name", or a final "*"`
  }
  const { text } = segment
  if (text === '') return 'has an empty segment ("//"): remove one slash'
  if (text === '.' || text === '..') return 'has a dot segment, which no request can reach: remove it'
  if (isLiteral(text)) return undefined
  const allowed = "A-Z a-z 0-9 . _ ~ & ' , ; = @ -"
  return `segment "${text}" has a character that is not literal in every router: allowed are ${allowed}`
}

function explainMethod(method: string): string {
  const problem = `"${method}" is not a registered HTTP method`
  if (/^(all|any)$/i.test(method)) return `${problem}: "*" stands for every method`
  const meant = nearest(method, registeredMethods)
  if (meant !== undefined) return `${problem}; did you mean "${meant}"?`
  return `${problem}: write one in upper case, several as "GET,POST", or "*" for every method`
}
