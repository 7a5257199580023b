import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import * as node from '../../../src/lib/runtime-node.js'
import * as web from '../../../src/lib/runtime-web.js'

/** Both files stand behind `#runtime`: the compiler demands the same exports of the same types. */
const others: typeof node = web

const latin1 = fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)) })
const base64url = fc.string({ unit: fc.constantFrom(...'AQgwz019-_') })

describe('the two files behind #runtime', () => {
  test('have the same exports', () => {
    expect(Object.keys(others).sort()).toEqual(Object.keys(node).sort())
  })

  test('differ in whether a request may await what another one has begun', () => {
    expect([node.hasIsolatedRequests, others.hasIsolatedRequests]).toEqual([false, true])
  })

  test('hash alike, any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.uint8Array({ minLength: 1 }), (text, secret) => {
        expect(others.sha256(text)).toBe(node.sha256(text))
        expect(others.hmacSha256(secret, text)).toBe(node.hmacSha256(secret, text))
        expect(others.hmacSha256(`s${text}`, text)).toBe(node.hmacSha256(`s${text}`, text))
      }),
    )
    expect(others.sha256('')).toBe('47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU')
  })

  test('decode alike: canonical base64url, and nothing else', () => {
    fc.assert(
      fc.property(fc.oneof(base64url, fc.string()), (text) => {
        expect(others.decodeBase64urlText(text)).toBe(node.decodeBase64urlText(text))
      }),
    )
    for (const text of ['QQ==', 'QR', 'QQ ', 'Q', '+/', '\u0141Q', `${'A'.repeat(21_848)}A`]) {
      expect([others.decodeBase64urlText(text), node.decodeBase64urlText(text)]).toEqual([
        undefined,
        undefined,
      ])
    }
    const longest = 'A'.repeat(21_844)
    expect(others.decodeBase64urlText(longest)).toBe(node.decodeBase64urlText(longest))
    expect(others.decodeBase64urlText(longest)).toHaveLength(16_383)
  })

  test('read UTF-8 alike, and refuse what is none', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          latin1,
          fc.string({ unit: 'binary' }).map((text) => Buffer.from(text).toString('latin1')),
        ),
        (bytes) => {
          expect(others.decodeUtf8(bytes)).toBe(node.decodeUtf8(bytes))
        },
      ),
    )
    expect(others.decodeUtf8('\xef\xbb\xbfx')).toBe('\ufeffx')
    expect(others.decodeUtf8('\xff')).toBeUndefined()
  })

  test('turn bytes into base64url and back', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect(others.toBase64url(bytes)).toBe(node.toBase64url(bytes))
        expect([...others.fromBase64url(node.toBase64url(bytes))]).toEqual([...bytes])
      }),
    )
  })

  test('compare secrets alike', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (one, other) => {
        expect(others.isSameSecret(one, other)).toBe(one === other)
        expect(node.isSameSecret(one, one)).toBe(true)
      }),
    )
    // A letter whose low byte is that of "A".
    expect([others.isSameSecret('A', '\u0141'), node.isSameSecret('A', '\u0141')]).toEqual([false, false])
  })

  test('copy ASCII', () => {
    expect([others.copyAscii('a.b-c_9'), node.copyAscii('a.b-c_9')]).toEqual(['a.b-c_9', 'a.b-c_9'])
  })
})
