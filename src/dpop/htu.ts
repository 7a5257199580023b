import { isSimplePath } from '../request/path.js'

/** Splits an http(s) URI. Matches only URIs that all parsers read the same way. */
const httpUri =
  /^(https?):\/\/((?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+|\[[0-9A-Fa-f:.]+\])(?::(\d{0,5}))?(\/[^?#]*)?(?:\?[^#]*)?(?:#.*)?$/i

/**
 * Normalizes an http(s) URI without query and fragment (RFC 3986 sections 6.2.2 and 6.2.3; RFC 9449 section
 * 4.3). Returns undefined for anything but an absolute http(s) URI without user information.
 */
export function normalizeHttpUri(uri: string): string | undefined {
  const match = httpUri.exec(uri)
  if (match === null) return undefined
  const [, writtenScheme = '', writtenHost = '', port = '', writtenPath = '/'] = match
  const scheme = writtenScheme.toLowerCase()
  const host = normalizeEncoding(writtenHost).toLowerCase()
  const path = normalizePath(writtenPath)
  if (path === undefined) return undefined
  const isDefaultPort = port === '' || Number(port) === (scheme === 'https' ? 443 : 80)
  return `${scheme}://${host}${isDefaultPort ? '' : `:${Number(port)}`}${path}`
}

/**
 * Decodes unreserved characters, writes escapes in capitals, removes dot segments. Undefined for a malformed
 * path.
 */
export function normalizePath(path: string): string | undefined {
  if (isSimplePath(path)) return path
  if (/[^\x21-\x7e]|%(?![0-9A-Fa-f]{2})/.test(path)) return undefined
  return removeDotSegments(normalizeEncoding(path))
}

function normalizeEncoding(text: string): string {
  return text.replace(/%[0-9A-Fa-f]{2}/g, (encoded) => {
    const character = String.fromCharCode(Number.parseInt(encoded.slice(1), 16))
    return /[A-Za-z0-9._~-]/.test(character) ? character : encoded.toUpperCase()
  })
}

/** RFC 3986 section 5.2.4, for a path that begins with "/". */
function removeDotSegments(path: string): string {
  const kept: string[] = []
  const segments = path.slice(1).split('/')
  for (const [index, segment] of segments.entries()) {
    const isLast = index === segments.length - 1
    if (segment === '..') kept.pop()
    if (segment === '.' || segment === '..') {
      if (isLast) kept.push('')
    } else kept.push(segment)
  }
  return `/${kept.join('/')}`
}
