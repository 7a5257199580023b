/** 128 bits that stand for a key, or for the owner that it belongs to. */
export type Fingerprint = Int32Array

/** Fingerprints of what was used once. */
export interface Fingerprinter {
  /** Makes those of an owner, and of an id among the owner's. */
  take(owner: string, id: string): void
  /** As `take` left them, for reading only. */
  readonly owner: Fingerprint
  readonly id: Fingerprint
}

/**
 * Makes fingerprints. Any two texts are told apart, whatever is in them.
 *
 * The mixing is MurmurHash3's, with one set of its constants, under a seed that no client knows. It is no cryptographic
 * hash, but its input is: the verifier's keys are made of SHA-256 digests. Two that meet would cost the second a refusal,
 * as if it were a replay, and never give a pass.
 */
export function createFingerprinter(): Fingerprinter {
  // Not before the first request: Workers have no randomness while a module loads.
  let seed: Fingerprint | undefined
  const ownerPrint: Fingerprint = new Int32Array(4)
  const idPrint: Fingerprint = new Int32Array(4)
  let lastOwner: string | undefined
  return {
    take(owner, id) {
      seed ??= crypto.getRandomValues(new Int32Array(4))
      // Who sends one proof mostly sends the next one, too.
      if (owner !== lastOwner) mix(owner, seed, ownerPrint)
      lastOwner = owner
      mix(id, ownerPrint, idPrint)
    },
    owner: ownerPrint,
    id: idPrint,
  }
}

/**
 * Mixes a text under `seed` into `out`, a character at a time, into one of the four words after the other. A loop as short
 * as that, since it runs once a request: unrolled, its code takes longer to be fetched than to be run.
 */
function mix(text: string, seed: Fingerprint, out: Fingerprint): void {
  let a = seed[0] as number
  let b = seed[1] as number
  let c = seed[2] as number
  let d = seed[3] as number
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
  out[0] = a
  out[1] = a + b
  out[2] = a + c
  out[3] = a + d
}

function rotate(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits))
}

function avalanche(word: number): number {
  let mixed = Math.imul(word ^ (word >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return mixed ^ (mixed >>> 16)
}
