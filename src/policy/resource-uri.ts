/**
 * Whether a URI has one spelling only: that of the URL standard. False for dot segments, empty segments, an
 * encoded `.`, `/` or `\`, a needless escape, a fragment, and anything that a server could read as another
 * resource.
 */
export function isCanonicalUri(uri: string): boolean {
  if (!hasPlainCharacters(uri) || hasAmbiguousSegments(uri)) return false
  try {
    // Throws for bytes that are no UTF-8: an overlong `%C0%AE` is a dot to some decoders.
    decodeURIComponent(uri)
    // An `https:` URL without a path gets one: `https://example.com` is not canonical.
    return new URL(uri).href === uri
  } catch {
    return false
  }
}

/** Whether canonical URIs can begin with this text. */
export function isCanonicalPrefix(prefix: string): boolean {
  return prefix === '' || isCanonicalUri(prefix) || isCanonicalUri(`${prefix}x`)
}

/** The characters of a URI, except those that the URL standard itself would change. */
function hasPlainCharacters(uri: string): boolean {
  return /^[a-z][a-z0-9+.-]*:(?:[\x21\x24\x26-\x3b\x3d\x3f-\x5a\x5f\x61-\x7a~[\]@]|%[0-9A-F]{2})*$/.test(uri)
}

function hasAmbiguousSegments(uri: string): boolean {
  const rest = uri.replace(/^[^:]*:(\/\/)?/, '')
  // In the query too: a server may take it as part of a path.
  if (/(^|[/?])\.{1,2}([/?;]|$)/.test(rest) || rest.includes('//')) return true
  // Controls, the letters, digits and marks that need no escape, `.`, `/` and `\`, and any of these encoded
  // twice.
  return /%(25)*(0[0-9A-F]|1[0-9A-F]|2[DEF]|3[0-9]|4[1-9A-F]|5[0-9ACF]|6[1-9A-F]|7[0-9AEF])/i.test(uri)
}

/** The problem of a key of `resources`, or undefined. A final `*` makes it a prefix. */
export function checkResourceKey(key: string): string | undefined {
  const isPrefix = key.endsWith('*')
  const uri = isPrefix ? key.slice(0, -1) : key
  if (uri.includes('*')) return 'may have a "*" only at its end'
  if (!isPrefix && !isCanonicalUri(uri)) {
    return 'must be a URI in its canonical spelling, such as "file:///docs/readme.md", or end with "*"'
  }
  // `https://example.com*` would match `https://example.com.attacker.net/` as well.
  if (isPrefix && /^(https?|wss?|ftp):\/\/[^/]+$/.test(uri)) return 'ends within a host: write "/*"'
  return isPrefix && !isCanonicalPrefix(uri)
    ? 'must be the beginning of a URI in its canonical spelling'
    : undefined
}
