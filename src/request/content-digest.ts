import { trimBlanks } from '../lib/strings.js'

/** The digest algorithms of RFC 9530 section 5 that are not deprecated. */
export type DigestAlgorithm = 'sha-256' | 'sha-512'

/** Digests as base64, by algorithm. */
export type ContentDigests = ReadonlyMap<DigestAlgorithm, string>

// A structured field (RFC 8941 section 3.2): a dictionary whose values are byte sequences. Values of
// parameters are not read.
const key = '[a-z*][a-z0-9_.*-]*'
const bareItem = [
  '-?\\d{1,15}(?:\\.\\d{1,3})?',
  '"(?:[\\x20\\x21\\x23-\\x5b\\x5d-\\x7e]|\\\\["\\\\])*"',
  "[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]*",
  ':[A-Za-z0-9+/]*={0,2}:',
  '\\?[01]',
].join('|')
const member = new RegExp(`(${key})=:([A-Za-z0-9+/]*={0,2}):(?:; *${key}(?:=(?:${bareItem}))?)*`, 'y')
const separator = /[ \t]*,[ \t]*/y

/**
 * The digests of a field `Content-Digest` (RFC 9530 section 2). Unknown algorithms are left out. Undefined
 * for a malformed field, and for an algorithm that comes twice.
 */
export function parseContentDigest(field: string): ContentDigests | undefined {
  const text = trimBlanks(field)
  const digests = new Map<string, string>()
  for (let at = 0; ; ) {
    member.lastIndex = at
    const [found, name = '', value = ''] = member.exec(text) ?? []
    if (found === undefined || digests.has(name)) return undefined
    digests.set(name, value)
    at += found.length
    if (at === text.length) return knownDigests(digests)
    separator.lastIndex = at
    const comma = separator.exec(text)
    if (comma === null) return undefined
    at += comma[0].length
  }
}

function knownDigests(digests: ReadonlyMap<string, string>): ContentDigests {
  const known = new Map<DigestAlgorithm, string>()
  for (const algorithm of ['sha-256', 'sha-512'] as const) {
    const value = digests.get(algorithm)
    if (value !== undefined) known.set(algorithm, value)
  }
  return known
}
