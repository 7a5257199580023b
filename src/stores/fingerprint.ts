import { createHash, randomFillSync } from 'node:crypto'

/** 128 bits that stand for a key, or for the agent that it belongs to. */
export type Fingerprint = Int32Array

const DIGEST = 43
const DOT = 46
const HALF = 44
const bytes = Buffer.alloc(2 * HALF)
const words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)

/**
 * Turns keys into fingerprints: `fingerprint(key, partition, print)` writes that of the agent, the part before the
 * first dot, and that of the whole key. Keys of one or two SHA-256 digests in base64url are read as they are; any
 * other key is hashed first, so that long, short and odd ones are told apart as well.
 *
 * The mixing is MurmurHash3's, under a seed that no client knows, so keys that share a bucket cannot be searched
 * for. It need not be a cryptographic hash: what comes in is one, and two keys that met would cost a refusal,
 * never a pass.
 */
export function fingerprinter(): (key: string, partition: Fingerprint, print: Fingerprint) => void {
  const seed = randomFillSync(new Int32Array(4))
  return (key, partition, print) => {
    if (key.length === 2 * DIGEST + 1 && key.charCodeAt(DIGEST) === DOT) {
      bytes.write(key, 'latin1')
    } else {
      const dot = key.length === DIGEST ? -1 : key.indexOf('.')
      bytes.fill(0, 0, HALF)
      if (dot > 0) bytes.write(digest(key.slice(0, dot)), 'latin1')
      bytes.write(key.length === DIGEST ? key : digest(key.slice(dot > 0 ? dot + 1 : 0)), HALF, 'latin1')
    }
    mix(0, seed, partition)
    mix(HALF / 4, partition, print)
  }
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}

/** Mixes the eleven words from `from` on, under `seed`, into `out`. */
function mix(from: number, seed: Fingerprint, out: Fingerprint): void {
  let a = seed[0] as number
  let b = seed[1] as number
  let c = seed[2] as number
  let d = seed[3] as number
  for (let at = from; at < from + 8; at += 4) {
    a = (Math.imul(rotate(a ^ scramble(words[at] as number, 0x239b961b), 19) + b, 5) + 0x561ccd1b) | 0
    b = (Math.imul(rotate(b ^ scramble(words[at + 1] as number, 0xab0e9789), 17) + c, 5) + 0x0bcaa747) | 0
    c = (Math.imul(rotate(c ^ scramble(words[at + 2] as number, 0x38b34ae5), 15) + d, 5) + 0x96cd1c35) | 0
    d = (Math.imul(rotate(d ^ scramble(words[at + 3] as number, 0xa1e38b93), 13) + a, 5) + 0x32ac3b17) | 0
  }
  a ^= scramble(words[from + 8] as number, 0x239b961b)
  b ^= scramble(words[from + 9] as number, 0xab0e9789)
  c ^= scramble(words[from + 10] as number, 0x38b34ae5)
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
