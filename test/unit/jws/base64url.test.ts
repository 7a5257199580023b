import { expect, test } from 'vitest'
import { decodeBase64url, isBase64url, isExact } from '../../../src/jws/base64url.js'

/** Whether decoding it and encoding it again gives it back. */
function comesBack(text: string): boolean {
  return Buffer.from(text, 'base64url').toString('base64url') === text
}

/** Every character of one byte, and some that end in the byte of one of the alphabet. */
const characters = [
  ...Array.from({ length: 256 }, (_, code) => String.fromCharCode(code)),
  ...['\u0141', '\u2041', '\uff21', '\ud83d', '\ud83d\ude00'],
]

test('a text is exact if its bytes encode to it, for every last character', () => {
  let exact = 0
  for (let length = 0; length <= 8; length++) {
    for (const last of characters) {
      const text = 'AQgw_-zZ'.slice(0, length) + last
      expect(isExact(text), JSON.stringify(text)).toBe(comesBack(text))
      expect(decodeBase64url(text) !== undefined, JSON.stringify(text)).toBe(comesBack(text))
      if (isExact(text)) exact++
    }
  }
  // Of nine lengths, three have a character over, two have four bits to spare, two have two, and two none.
  expect(exact).toBe(3 * 0 + 2 * 4 + 2 * 16 + 2 * 64)
  expect(isExact('')).toBe(true)
})

test('a text with a character that is none of the alphabet is not exact, wherever it stands', () => {
  for (const length of [4, 6, 7, 86]) {
    const text = 'A'.repeat(length)
    expect(isExact(text)).toBe(true)
    for (let at = 0; at < length; at++) {
      for (const character of characters.filter((one) => !/^[\w-]$/.test(one))) {
        const changed = text.slice(0, at) + character + text.slice(at + 1)
        expect(isExact(changed), JSON.stringify(changed)).toBe(false)
        expect(isBase64url(changed), JSON.stringify(changed)).toBe(false)
      }
    }
  }
})
