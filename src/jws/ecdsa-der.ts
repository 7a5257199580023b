import { Buffer } from 'node:buffer'

const SEQUENCE = 0x30
const INTEGER = 0x02
/** Before a length that is greater than 127 (X.690 section 8.1.3.5). */
const LONG_LENGTH = 0x81

/**
 * Encodes an ECDSA signature r || s (RFC 7518 section 3.4) as DER (RFC 3279 section 2.2.3). Each pair has
 * exactly one encoding, so a signature gets no second spelling.
 */
export function toDer(signature: Buffer): Buffer {
  const half = signature.length / 2
  const [rStart, rLength] = integerIn(signature, 0, half)
  const [sStart, sLength] = integerIn(signature, half, signature.length)
  const length = 4 + rLength + sLength
  const der = Buffer.alloc(length + (length > 127 ? 3 : 2))
  let at = 0
  der[at++] = SEQUENCE
  if (length > 127) der[at++] = LONG_LENGTH
  der[at++] = length
  der[at++] = INTEGER
  der[at++] = rLength
  at += rLength
  signature.copy(der, at - (half - rStart), rStart, half)
  der[at++] = INTEGER
  der[at++] = sLength
  at += sLength
  signature.copy(der, at - (signature.length - sStart), sStart)
  return der
}

/**
 * The start of an unsigned integer after its leading zeros, and the length of its encoding in bytes: one more
 * if the highest bit would mean a negative number.
 */
function integerIn(bytes: Buffer, from: number, end: number): [start: number, length: number] {
  let start = from
  while (start < end - 1 && bytes[start] === 0) start++
  return [start, end - start + ((bytes[start] as number) > 127 ? 1 : 0)]
}
