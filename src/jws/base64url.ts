import { Buffer } from 'node:buffer'

/**
 * The bytes of a base64url text, or undefined where it is not the one exact encoding of them
 * (RFC 7515 section 2; RFC 4648 section 3.5). Decoders skip blanks, padding, other alphabets and stray bits;
 * a token has one spelling only.
 */
export function decodeBase64url(text: string): Buffer | undefined {
  return isExact(text) ? Buffer.from(text, 'base64url') : undefined
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

/** Whether a text is the one exact encoding of some bytes: of a short one, sooner told than by encoding them again. */
export function isExact(text: string): boolean {
  if (!isBase64url(text)) return false
  // Bits that the last character has and no byte takes have to be zero.
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

/** Where a text is decoded to be read at once: twelve kilobytes are a token of the greatest length. */
const room = Buffer.allocUnsafeSlow(12 * 1024)

/** The same bytes as a text with one character a byte; undefined also where they are more than a token may hold. */
export function decodeBase64urlText(text: string): string | undefined {
  const length = room.write(text, 'base64url')
  return room.toString('base64url', 0, length) === text ? room.toString('latin1', 0, length) : undefined
}
