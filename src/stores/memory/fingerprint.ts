/** A keyed 128-bit hash of a text, as four int32 words. */
export type Fingerprint = readonly [number, number, number, number]

/** A secret of the process, so that no client can choose texts with equal fingerprints. */
export function randomSeed(): Fingerprint {
  const [a = 0, b = 0, c = 0, d = 0] = crypto.getRandomValues(new Int32Array(4))
  return [a, b, c, d]
}

/**
 * The fingerprint of a text, with the mixing steps of MurmurHash3: keyed, but not cryptographic. A collision
 * would deny a new proof, and never allow a replay.
 */
export function fingerprint(text: string, seed: Fingerprint): Fingerprint {
  let [a, b, c, d] = seed
  for (let at = 0; at < text.length; at++) {
    const word = Math.imul(rotate(Math.imul(text.charCodeAt(at), 0x239b961b), 16), 0x9e3779b1)
    const mixed = (Math.imul(rotate(a ^ word, 19) + b, 5) + 0x561ccd1b) | 0
    a = b
    b = c
    c = d
    d = mixed
  }
  a ^= text.length
  b ^= text.length
  c ^= text.length
  d ^= text.length
  a = (a + b + c + d) | 0
  b = avalanche((a + b) | 0)
  c = avalanche((a + c) | 0)
  d = avalanche((a + d) | 0)
  a = (avalanche(a) + b + c + d) | 0
  return [a, (a + b) | 0, (a + c) | 0, (a + d) | 0]
}

function rotate(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits))
}

function avalanche(word: number): number {
  let mixed = Math.imul(word ^ (word >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return mixed ^ (mixed >>> 16)
}
