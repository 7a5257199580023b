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

/** Whether every router matches the segment literally. */
export function isLiteral(text: string): boolean {
  return literalSegment.test(text) && text !== '.' && text !== '..'
}

/** Parses `METHOD /path`. Undefined for another form. `findRouteKeyProblem` has the checks. */
export function parseRouteKey(key: string): RouteKey | undefined {
  const match = /^(\S+) (\/\S*)$/.exec(key)
  if (match === null) return undefined
  const [, methods = '', path = ''] = match
  const hasTrailingSlash = path.length > 1 && path.endsWith('/')
  const texts = path === '/' ? [] : path.slice(1, hasTrailingSlash ? -1 : undefined).split('/')
  return { key, methods: methods.split(','), path, segments: texts.map(toSegment), hasTrailingSlash }
}

function toSegment(text: string): Segment {
  if (text === '*') return { kind: 'wildcard' }
  return text.startsWith(':') ? { kind: 'param', name: text.slice(1) } : { kind: 'literal', text }
}
