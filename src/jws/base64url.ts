import { fromBase64url } from '#runtime'

/**
 * Decodes base64url strictly (RFC 7515 section 2, RFC 4648 section 3.5): undefined for blanks, padding,
 * another alphabet or stray bits, which other decoders accept. A token has one spelling only.
 */
export function decodeBase64url(text: string): Uint8Array | undefined {
  return isExact(text) ? fromBase64url(text) : undefined
}

const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

/** 1 at the codes of the alphabet. */
const isOfAlphabet = new Uint8Array(128)
for (let at = 0; at < alphabet.length; at++) isOfAlphabet[alphabet.charCodeAt(at)] = 1

/** Whether the text has no other characters than those of the alphabet (RFC 4648 section 5). */
export function isBase64url(text: string): boolean {
  for (let at = 0; at < text.length; at++) if (isOfAlphabet[text.charCodeAt(at)] !== 1) return false
  return true
}

/** Whether a text is canonical base64url. Faster than to decode and encode again. */
export function isExact(text: string): boolean {
  if (!isBase64url(text)) return false
  // The unused bits of the last character must be zero.
  const last = alphabet.indexOf(text.slice(-1))
  switch (text.length % 4) {
    case 0:
      return true
    case 2:
      return last % 16 === 0
    case 3:
      return last % 4 === 0
    default:
      return false
  }
}
