import { isUtf8 } from 'node:buffer'
import { describe, expect, test } from 'vitest'
import { parseJsonObject } from '../../../src/jws/strict-json.js'
import { cases, random, seed } from '../../support/differential.js'

describe(`the strict reader and JSON.parse agree (seed ${seed})`, () => {
  test('on JSON: what JSON.parse reads, where no object has a name twice', () => {
    const pieces = [
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"',
      '"a"',
      '"b"',
      '"__proto__"',
      '""',
      '1',
      '0',
      '01',
      '-1',
      '1.5',
      '1e3',
      '1e400',
    ]
    const more = [
      'true',
      'false',
      'null',
      'nul',
      ' ',
      '\\',
      '\u00e4',
      '9007199254740993',
      '999999999999999',
      '"a":',
      '{}',
      '[]',
      '":',
      '":":",',
      ',"a":2',
      '"a":1,',
      '"b" :[],',
      '"\\u0061":"",',
      ',"c": {}',
      ', "b" : ""',
      '\n',
      '\\u0061',
      '\\\\',
      '\u00c3\u00a4',
    ]
    const texts = [
      '{"a":1,"b":"x"}',
      '{"a":{"b":[1,{"c":"d"}]},"e":[]}',
      '{"iat":1,"ath":"x","ok":true,"no":null}',
      '{}',
      '{ "a" : ":" , "b" : " " }',
      '{"a":":","b":" "}',
    ]
    let read = 0
    let refused = 0
    for (let n = 0; n < 10 * cases; n++) {
      let bytes = random.pick(texts)
      for (let changes = random.below(4); changes > 0; changes--) {
        const at = random.below(bytes.length + 1)
        bytes = bytes.slice(0, at) + random.pick([...pieces, ...more]) + bytes.slice(at + random.below(3))
      }
      const { value, isReadOneWay } = plainJson(bytes)
      expect(parseJsonObject(bytes)?.members, bytes).toEqual(isReadOneWay ? value : undefined)
      if (isReadOneWay) read++
      else if (value !== undefined) refused++
    }
    expect(read).toBeGreaterThan(cases)
    expect(refused).toBeGreaterThan(cases / 100)
  })
})

/**
 * The object in a text, and whether it reads one way: each of its names stands there once, found by a pattern
 * and one Set an object, and no number is beyond a double.
 */
function plainJson(bytes: string): { value: unknown; isReadOneWay: boolean } {
  const buffer = Buffer.from(bytes, 'latin1')
  const text = buffer.toString('utf8')
  let value: unknown
  let isWithinDoubles = true
  try {
    value = JSON.parse(text)
    JSON.parse(text, (_, member) => {
      if (typeof member === 'number' && !Number.isFinite(member)) isWithinDoubles = false
      return member
    })
  } catch {
    return { value: undefined, isReadOneWay: false }
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value) || !isUtf8(buffer)) {
    return { value: undefined, isReadOneWay: false }
  }
  const open: Set<string>[] = []
  let isOnce = true
  for (const [token, name] of text.matchAll(/[{}]|("(?:[^"\\]|\\.)*")(?=\s*:)|"(?:[^"\\]|\\.)*"/gs)) {
    if (token === '{') open.push(new Set())
    else if (token === '}') open.pop()
    else if (name !== undefined) {
      const names = open.at(-1) as Set<string>
      const text = JSON.parse(name) as string
      if (names.has(text)) isOnce = false
      names.add(text)
    }
  }
  return { value, isReadOneWay: isOnce && isWithinDoubles }
}
