/** Node's default limit for the header of a request. */
const maxPathLength = 16 * 1024

const simplePath = /^(?:\/[\w~!$&'()*+,;=:@-][\w.~!$&'()*+,;=:@-]*)+\/?$|^\/$/

/** Whether no segment of a path begins with a dot, and nothing is percent-encoded. */
export function isSimplePath(path: string): boolean {
  return path.length <= maxPathLength && simplePath.test(path)
}

/**
 * Whether routers, proxies and file systems read a path the same way: no empty or dot segment, no backslash,
 * control character, blank or "#", and only UTF-8 percent-encoded. Letter case and a final slash are not
 * checked.
 */
export function isPlainPath(path: string): boolean {
  if (path.length > maxPathLength) return false
  if (isSimplePath(path)) return true
  if (!path.startsWith('/') || /[\x00-\x20\x7f\\#?]/.test(path)) return false
  const segments = path.slice(1).split('/')
  if (segments[segments.length - 1] === '') segments.pop()
  return segments.every(isPlainSegment)
}

/** The same for a path that a framework has decoded, except for escapes of reserved characters. */
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
 * The path as the most lenient router could read it: decoded, without `;` parameters. Used only to find out
 * whether an undeclared path may be another spelling of a declared one.
 */
export function loosestReading(path: string): string {
  const decoded = decodeURIComponent(path).replaceAll('\\', '/')
  const segments = decoded.split('/').map((segment) => segment.replace(/;.*$/s, ''))
  return `/${segments.filter((segment) => segment !== '').join('/')}`
}
