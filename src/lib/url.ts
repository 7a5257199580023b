/** Whether this is an http(s) URL without user, fragment and, unless allowed, query (RFC 8414 section 2). */
export function isUnambiguousUrl(text: string, allow: { query?: boolean } = {}): boolean {
  if (!/^https?:\/\/[\x21-\x7e]+$/i.test(text) || !URL.canParse(text)) return false
  // A path may have "@": the keys of Google's service accounts are under their e-mail address.
  if (!/^https?:\/\/[^/?@]+(?:[/?]|$)/i.test(text) || /[#\\]/.test(text)) return false
  if (text.includes('?') && !allow.query) return false
  return !/%(?![0-9A-Fa-f]{2})/.test(text)
}

/**
 * Whether keys may be fetched from this URL: over https, or over http from loopback and the allowed hosts.
 */
export function isSecureUrl(text: string, allowInsecureHttp: boolean | readonly string[] = false): boolean {
  const { protocol, hostname, host } = new URL(text)
  if (protocol === 'https:' || isLoopback(hostname)) return true
  return typeof allowInsecureHttp === 'boolean'
    ? allowInsecureHttp
    : allowInsecureHttp.includes(hostname) || allowInsecureHttp.includes(host)
}

function isLoopback(hostname: string): boolean {
  return /^(localhost|.+\.localhost|\[::1\]|127(\.\d{1,3}){3})$/.test(hostname)
}

export function isHttpUrl(text: string): boolean {
  return /^https?:\/\//i.test(text) && URL.canParse(text)
}
