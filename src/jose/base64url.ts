import { Buffer } from 'node:buffer'

/**
 * The bytes of a base64url text, or undefined where it is not the one exact encoding of them
 * (RFC 7515 section 2; RFC 4648 section 3.5). Decoders skip blanks, padding, other alphabets and stray bits;
 * encoding again and comparing leaves a token one spelling only.
 */
export function decodeBase64url(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64url')
  return bytes.toString('base64url') === text ? bytes : undefined
}
