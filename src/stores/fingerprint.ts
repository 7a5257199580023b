import { randomFillSync } from 'node:crypto'

/** 128 bits that stand for a key, or for the owner that it belongs to. */
export type Fingerprint = Int32Array

/** Two characters a word; longer texts take as many rounds. */
const ROUND = 8

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
 * The mixing is MurmurHash3's, under a seed that no client knows. It is no cryptographic hash: whoever chooses the ids of
 * one owner can choose two that meet whatever the seed. That costs the second a refusal, as if it were a replay, and never
 * gives a pass, and no two entries ever have one print; owners are digests, which nobody can choose so. Ids of one agent's
 * proofs are its own to choose, those of tokens the issuer's.
 */
export function createFingerprinter(): Fingerprinter {
  const seed = randomFillSync(new Int32Array(4))
  const ownerPrint: Fingerprint = new Int32Array(4)
  const idPrint: Fingerprint = new Int32Array(4)
  let lastOwner: string | undefined
  return {
    take(owner, id) {
      // Who sends one proof mostly sends the next one, too.
      if (owner !== lastOwner) mix(owner, seed, ownerPrint)
      lastOwner = owner
      mix(id, ownerPrint, idPrint)
    },
    owner: ownerPrint,
    id: idPrint,
  }
}

/** Mixes a text under `seed` into `out`, two characters a word and four words a round. */
function mix(text: string, seed: Fingerprint, out: Fingerprint): void {
  let a = seed[0] as number
  let b = seed[1] as number
  let c = seed[2] as number
  let d = seed[3] as number
  for (let at = 0; at < text.length; at += ROUND) {
    a = (Math.imul(rotate(a ^ scramble(wordAt(text, at), 0x239b961b), 19) + b, 5) + 0x561ccd1b) | 0
    b = (Math.imul(rotate(b ^ scramble(wordAt(text, at + 2), 0xab0e9789), 17) + c, 5) + 0x0bcaa747) | 0
    c = (Math.imul(rotate(c ^ scramble(wordAt(text, at + 4), 0x38b34ae5), 15) + d, 5) + 0x96cd1c35) | 0
    d = (Math.imul(rotate(d ^ scramble(wordAt(text, at + 6), 0xa1e38b93), 13) + a, 5) + 0x32ac3b17) | 0
  }
  // What is behind the end of a text counts as zeros: its length tells it from one that ends in them.
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

function wordAt(text: string, at: number): number {
  if (at + 1 < text.length) return text.charCodeAt(at) | (text.charCodeAt(at + 1) << 16)
  return at < text.length ? text.charCodeAt(at) : 0
}

function scramble(word: number, factor: number): number {
  return Math.imul(rotate(Math.imul(word, factor), 16), 0x9e3779b1)
}

function rotate(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits))
}

function avalanche(word: number): number {
  let mixed = Math.imul(word ^ (word >>> 16), 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  return mixed ^ (mixed >>> 16)
}
