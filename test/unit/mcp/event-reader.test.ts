import { describe, expect, it } from 'vitest'
import { createEventReader } from '../../../src/mcp/event-reader.js'

const bytes = (text: string) => new TextEncoder().encode(text)

/** The data that is read from a text in parts of this many bytes, and the rest of it after the end. */
function readIn(size: number, text: string): string[] {
  const reader = createEventReader()
  const all = bytes(text)
  const found: string[] = []
  for (let at = 0; at < all.length; at += size) found.push(...reader.read(all.subarray(at, at + size)))
  return found
}

describe('createEventReader', () => {
  it.each(['\n', '\r\n', '\r'])('reads events whose lines end with %j, in parts of any size', (end) => {
    const lines = [
      'event: message',
      'id: 1',
      'data: {"a":',
      'data:"\u00fc\u{1f600}"}',
      '',
      ': comment',
      '',
      'data: two',
      '',
      '',
    ]
    for (const size of [1, 2, 3, 7, 1000])
      expect([size, readIn(size, lines.join(end))]).toEqual([size, ['{"a":\n"\u00fc\u{1f600}"}', 'two']])
  })

  it('reads line ends of several kinds, and no event that has not ended', () => {
    for (const size of [1, 2, 5, 100])
      expect(readIn(size, 'data: a\n\r\ndata: b\r\n\ndata: c\n\n\n\ndata: d\n')).toEqual(['a', 'b', 'c'])
  })

  it('reads a long event in a time that grows with its length alone', () => {
    const long = 'x'.repeat(8_000_000)
    const since = performance.now()
    expect(readIn(1000, `data: ${long}\n\n`)[0]?.length).toBe(long.length)
    expect(performance.now() - since).toBeLessThan(10_000)
  })
})
