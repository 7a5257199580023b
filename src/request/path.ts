/** As long as a request line gets with Node's own limit. */
const maxPathLength = 16 * 1024

const simplePath = /^(?:\/[\w~!$&'()*+,;=:@-][\w.~!$&'()*+,;=:@-]*)+\/?$|^\/$/

/** Whether every segment of a path begins with a character that is not a dot, and nothing needs decoding. */
export function isSimplePath(path: string): boolean {
  return path.length <= maxPathLength && simplePath.test(path)
}

/**
 * Whether a path can be spelled in no other way that some router, proxy or file system would take for the same
 * one, or for a way out of its folder: no empty or dot segment, no backslash, no control character, blank or
 * "#", and percent-encoding that decodes as UTF-8. Letter case and a last slash are the router's own matter.
 */
export function isPlainPath(path: string): boolean {
  if (path.length > maxPathLength) return false
  if (isSimplePath(path)) return true
  if (!path.startsWith('/') || /[\x00-\x20\x7f\\#?]/.test(path)) return false
  const segments = path.slice(1).split('/')
  if (segments[segments.length - 1] === '') segments.pop()
  return segments.every(isPlainSegment)
}

/** The same of a path that a framework has decoded already, all but the escapes of reserved characters. */
export function isPlainDecodedPath(path: string): boolean {
  if (path.length > maxPathLength || !path.startsWith('/') || /[\x00-\x1f\x7f]/.test(path)) return false
  const segments = path.slice(1).split('/')
  if (segments[segments.length - 1] === '') segments.pop()
  return segments.every((segment) => segment !== '' && segment !== '.' && segment !== '..')
}

function isPlainSegment(segment: string): boolean {
  if (segment === '') return false
  let decoded: string
  try {
    decoded = decodeURIComponent(segment)
  } catch {
    return false
  }
  return isPlainValue(decoded)
}

/** Whether a decoded segment holds no control character, and no way out of a folder. */
export function isPlainValue(decoded: string): boolean {
  if (/[\x00-\x1f\x7f]/.test(decoded)) return false
  return !decoded.split(/[/\\]/).some((part) => part === '.' || part === '..')
}

/**
 * The path that the most forgiving reader could take this one for: decoded, without `;` parameters. Only ever
 * used to find out that an undeclared path might be another spelling of a declared one.
 */
export function loosestReading(path: string): string {
  const decoded = decodeURIComponent(path).replaceAll('\\', '/')
  const segments = decoded.split('/').map((segment) => segment.replace(/;.*$/s, ''))
  return `/${segments.filter((segment) => segment !== '').join('/')}`
}
