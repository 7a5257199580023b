import { randomFillSync } from 'node:crypto'

/** 128 bits that stand for a key. */
export type Fingerprint = Int32Array

/** A seed that no client knows: without it, keys that all fall into one bucket cannot be searched for. */
export function randomSeed(): Fingerprint {
  return randomFillSync(new Int32Array(4))
}

/**
 * Writes the fingerprint of `text[from, to)` under `seed` into `out` (MurmurHash3's 128-bit mixing).
 * It is no cryptographic hash and need not be: the text is a SHA-256 already, so nobody can choose it, and two
 * keys that met would cost a refusal, never a pass.
 */
export function fingerprint(
  text: string,
  from: number,
  to: number,
  seed: Fingerprint,
  out: Fingerprint,
): void {
  let a = seed[0] as number
  let b = seed[1] as number
  let c = seed[2] as number
  let d = seed[3] as number
  for (let at = from; at < to; at += 8) {
    a = rotate(a ^ scramble(pair(text, at, to), 0x239b961b), 19) + b
    a = (Math.imul(a, 5) + 0x561ccd1b) | 0
    b = rotate(b ^ scramble(pair(text, at + 2, to), 0xab0e9789), 17) + c
    b = (Math.imul(b, 5) + 0x0bcaa747) | 0
    c = rotate(c ^ scramble(pair(text, at + 4, to), 0x38b34ae5), 15) + d
    c = (Math.imul(c, 5) + 0x96cd1c35) | 0
    d = rotate(d ^ scramble(pair(text, at + 6, to), 0xa1e38b93), 13) + a
    d = (Math.imul(d, 5) + 0x32ac3b17) | 0
  }
  const length = to - from
  a = ((a ^ length) + (b ^ length) + (c ^ length) + (d ^ length)) | 0
  b = ((b ^ length) + a) | 0
  c = ((c ^ length) + a) | 0
  d = ((d ^ length) + a) | 0
  a = avalanche(a)
  b = avalanche(b)
  c = avalanche(c)
  d = avalanche(d)
  a = (a + b + c + d) | 0
  out[0] = a
  out[1] = b + a
  out[2] = c + a
  out[3] = d + a
}

function pair(text: string, at: number, to: number): number {
  if (at + 1 < to) return text.charCodeAt(at) | (text.charCodeAt(at + 1) << 16)
  return at < to ? text.charCodeAt(at) : 0
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
