import { generateKeyPairSync, sign, verify } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { toDer } from '../../../src/jws/ecdsa-der.js'

const curves = [
  { crv: 'P-256', size: 32, digest: 'sha256' },
  { crv: 'P-384', size: 48, digest: 'sha384' },
  { crv: 'P-521', size: 66, digest: 'sha512' },
] as const

/** The two integers in a DER signature, in hexadecimal. Throws for another encoding than the shortest. */
function integersIn(der: Buffer): string[] {
  const head = der[1] === 0x81 ? 3 : 2
  const length = der[head - 1] as number
  if (der[0] !== 0x30 || length !== der.length - head || (head === 3 && length < 128))
    throw new Error('SEQUENCE')
  const integers: string[] = []
  for (let at = head; at < der.length; ) {
    const [tag, size] = [der[at], der[at + 1] as number]
    const bytes = der.subarray(at + 2, at + 2 + size)
    const [first, second = 0x80] = bytes as unknown as [number, number?]
    const isShortest = bytes.length === size && first < 0x80 && (first > 0 || size === 1 || second > 0x7f)
    if (tag !== 0x02 || !isShortest) throw new Error('INTEGER')
    integers.push(BigInt(`0x${bytes.toString('hex')}`).toString(16))
    at += 2 + size
  }
  return integers
}

describe.each(curves)('a signature of $crv in DER', ({ crv, size, digest }) => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: crv })

  test('is valid exactly where r || s is', () => {
    for (let round = 0; round < 200; round++) {
      const data = Buffer.from(`message ${round}`)
      const pair = sign(digest, data, { key: privateKey, dsaEncoding: 'ieee-p1363' })
      expect(verify(digest, data, publicKey, toDer(pair))).toBe(true)
      pair[round % pair.length] = (pair[round % pair.length] as number) ^ (1 << (round % 8))
      const expected = verify(digest, data, { key: publicKey, dsaEncoding: 'ieee-p1363' }, pair)
      expect(verify(digest, data, publicKey, toDer(pair))).toBe(expected)
    }
  })

  test('holds both integers in their shortest form', () => {
    const edges = [
      '0',
      '1',
      '7f',
      '80',
      'ff',
      '7fff',
      '8000',
      '1'.padEnd(2 * size - 1, '0'),
      'f'.repeat(2 * size),
    ]
    for (const r of edges) {
      for (const s of edges) {
        const pair = Buffer.from([r, s].map((text) => text.padStart(2 * size, '0')).join(''), 'hex')
        expect(integersIn(toDer(pair))).toEqual([r, s])
      }
    }
  })
})
