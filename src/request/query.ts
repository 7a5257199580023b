/**
 * The raw values of a query parameter. Finds every spelling that common parsers accept: percent-encoded, and
 * with the brackets of the qs package (`name[]`, `[name]`). Linear, and allocates nothing for other
 * parameters.
 */
export function parameterValues(query: string, name: string): readonly string[] {
  let values: string[] | undefined
  for (let start = 0; start < query.length; ) {
    const ampersand = query.indexOf('&', start)
    const end = ampersand < 0 ? query.length : ampersand
    const nameEnd = endOfName(query, start, name)
    if (nameEnd >= 0) {
      const rest = query.slice(nameEnd, end)
      const equals = rest.indexOf('=')
      values ??= []
      values.push(equals < 0 ? '' : rest.slice(equals + 1))
    }
    start = end + 1
  }
  return values ?? none
}

const none: readonly string[] = Object.freeze([])

const ampersandCode = '&'.charCodeAt(0)
const equalsCode = '='.charCodeAt(0)
const percentCode = '%'.charCodeAt(0)
const openBracket = '['.charCodeAt(0)
const closeBracket = ']'.charCodeAt(0)

/** The end of the name of the parameter at `start`, or -1 where it has another name. */
function endOfName(query: string, start: number, name: string): number {
  const bracket = skip(query, start, openBracket)
  let at = bracket < 0 ? start : bracket
  for (let index = 0; index < name.length; index++) {
    at = skip(query, at, name.charCodeAt(index))
    if (at < 0) return -1
  }
  if (at === query.length) return at
  const next = query.charCodeAt(at)
  const isWhole =
    next === ampersandCode ||
    next === equalsCode ||
    skip(query, at, openBracket) >= 0 ||
    skip(query, at, closeBracket) >= 0
  return isWhole ? at : -1
}

/** The position after a character at `at`, plain or percent-encoded; -1 where there is another one. */
function skip(query: string, at: number, code: number): number {
  const found = query.charCodeAt(at)
  if (found === code) return at + 1
  if (found !== percentCode) return -1
  const isEncoded =
    hexDigit(query.charCodeAt(at + 1)) === code >> 4 && hexDigit(query.charCodeAt(at + 2)) === (code & 15)
  return isEncoded ? at + 3 : -1
}

/** The value of a hexadecimal digit, or NaN. */
function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30
  const lower = code | 0x20
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : Number.NaN
}
