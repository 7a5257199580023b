import crypto from 'node:crypto'

/** SHA-256 of the text's UTF-8 bytes, base64url without padding: always 43 characters. */
export const sha256: (text: string) => string =
  // One call in place of three, where the runtime has it: this is on the way of every request.
  typeof crypto.hash === 'function'
    ? (text) => crypto.hash('sha256', text, 'base64url')
    : (text) => crypto.createHash('sha256').update(text).digest('base64url')
