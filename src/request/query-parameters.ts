/** One parameter of a query. */
export interface QueryParameter {
  readonly name: string
  readonly value: string
  /** The members that a parser of nested names makes of the name: `a[b]` and `a.b` are `a`, `b`. */
  readonly path: readonly string[]
}

/** Parsers of queries leave out parameters beyond this number. */
const maxParameters = 1000

/** A percent-encoded character that needs no encoding (RFC 3986 section 2.3). */
const needless = /%(2D|2E|3\d|4[1-9A-F]|5[0-9AF]|6[1-9A-F]|7[0-9AE])/i

/** The parameters of a query. Undefined where two parsers could read it differently. */
export function readParameters(query: string): readonly QueryParameter[] | undefined {
  const pairs = query.split('&').filter((pair) => pair !== '')
  if (pairs.length > maxParameters) return undefined
  const parameters: QueryParameter[] = []
  for (const pair of pairs) {
    const parameter = readParameter(pair)
    if (parameter === undefined) return undefined
    parameters.push(parameter)
  }
  return parameters
}

function readParameter(pair: string): QueryParameter | undefined {
  const equals = pair.indexOf('=')
  const encoded = equals < 0 ? pair : pair.slice(0, equals)
  // The qs package ends a name behind its last bracket, wherever the first equals sign is.
  if (equals >= 0 && /(\]|%5D)=/i.test(pair.slice(equals + 1))) return undefined
  const name = decode(encoded)
  const value = equals < 0 ? '' : decode(pair.slice(equals + 1))
  if (name === undefined || value === undefined) return undefined
  // `%61` for `a`: some parsers compare names before they decode them.
  const path = needless.test(encoded) ? [...pathOf(name), ''] : pathOf(name)
  return { name, value, path }
}

/**
 * The value of the one parameter with this name, `missing`, or `ambiguous` where a parser could find another
 * value: the name comes twice, or nested in brackets, or in a needless encoding.
 */
export function findParameter(
  parameters: readonly QueryParameter[],
  name: string,
): { readonly value: string } | 'missing' | 'ambiguous' {
  const path = pathOf(name)
  const related = parameters.filter((parameter) => isPrefix(parameter.path, path))
  const [only] = related
  if (only === undefined) return 'missing'
  const isPlain = related.length === 1 && only.name === name && only.path.length === path.length
  return isPlain ? { value: only.value } : 'ambiguous'
}

/** Whether one path begins with the other. */
function isPrefix(one: readonly string[], other: readonly string[]): boolean {
  const length = Math.min(one.length, other.length)
  return length > 0 && one.slice(0, length).every((part, index) => part === other[index])
}

function pathOf(name: string): string[] {
  return name.split(/[[\].]/).filter((part) => part !== '')
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return undefined
  }
}
