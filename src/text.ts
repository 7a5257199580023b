import { Buffer } from 'node:buffer'

/**
 * A text without the blanks around it. A loop and no pattern: `/ +$/` looks at a run of blanks in the middle again
 * from each of them, and a field may hold sixteen thousand.
 */
export function trimBlanks(text: string): string {
  let start = 0
  let end = text.length
  while (start < end && text.charCodeAt(start) === 0x20) start++
  while (end > start && text.charCodeAt(end - 1) === 0x20) end--
  return text.slice(start, end)
}

/** A text of ASCII by itself: a slice keeps the whole text that it was cut from in memory. */
export function copyAscii(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1')
}
