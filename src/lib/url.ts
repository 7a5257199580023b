/**
 * Whether keys may be fetched from, or tokens be addressed to, this URL: https, or http on loopback, with
 * nothing in it that two readers could take differently (RFC 8414 section 2).
 */
export function isTrustworthyUrl(text: string, allow: { query?: boolean } = {}): boolean {
  if (!/^https?:\/\/[\x21-\x7e]+$/i.test(text) || !URL.canParse(text)) return false
  const url = new URL(text)
  if (url.username !== '' || url.password !== '' || text.includes('#') || text.includes('@')) return false
  if (text.includes('?') && !allow.query) return false
  if (/%(?![0-9A-Fa-f]{2})/.test(text)) return false
  return url.protocol === 'https:' || isLoopback(url.hostname)
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname)
}

export function isHttpUrl(text: string): boolean {
  return /^https?:\/\//i.test(text) && URL.canParse(text)
}
