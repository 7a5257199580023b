import { split } from 'shlex'
import { UsageError } from '../usage-error.js'

/** Ends of a command: what follows is for the shell or another program. */
const operators: ReadonlySet<string> = new Set(['|', '||', '&', '&&', ';', '>', '>>', '<', '2>', '2>&1'])

/** Splits a command as the shell that it was copied for: a POSIX shell, or `cmd.exe` of Windows. */
export function shellWords(command: string): string[] {
  const text = command.trim()
  const words = isForCmd(text) ? cmdWords(text) : posixWords(text)
  const end = words.findIndex((word) => operators.has(word))
  return end < 0 ? words : words.slice(0, end)
}

/** Browsers quote for `cmd.exe` with carets, and continue its lines with one. */
function isForCmd(text: string): boolean {
  return /\s\^"|\^\r?\n/.test(text)
}

function posixWords(text: string): string[] {
  try {
    return split(text.replaceAll('\r\n', '\n'))
  } catch (error) {
    throw new UsageError(`the curl command cannot be read: ${error instanceof Error ? error.message : error}`)
  }
}

/** `cmd.exe` takes the carets away, then the C runtime of Microsoft splits the rest. */
function cmdWords(text: string): string[] {
  const words: string[] = []
  let isQuoted = false
  let isInWord = false
  for (const [piece] of withoutCarets(text).matchAll(/\\+"?|"|\s+|[^\\"\s]+/g)) {
    if (/^\s/.test(piece) && !isQuoted) {
      isInWord = false
      continue
    }
    if (!isInWord) words.push('')
    isInWord = true
    const { text: literal, isQuote } = readPiece(piece)
    words[words.length - 1] += literal
    if (isQuote) isQuoted = !isQuoted
  }
  if (isQuoted) throw new UsageError('the curl command cannot be read: a quotation mark is not closed')
  return words
}

/**
 * Backslashes are escapes only in front of a quotation mark, which is literal after an odd number of them.
 */
function readPiece(piece: string): { text: string; isQuote: boolean } {
  if (!piece.endsWith('"')) return { text: piece, isQuote: false }
  const count = piece.length - 1
  const isQuote = count % 2 === 0
  return { text: '\\'.repeat(count >> 1) + (isQuote ? '' : '"'), isQuote }
}

/** A caret is literal between quotation marks. At the end of a line it joins the next one. */
function withoutCarets(text: string): string {
  let isQuoted = false
  return text.replace(/\^(?:\r?\n)?([\s\S]?)|"/g, (piece, next: string | undefined) => {
    if (piece === '"') {
      isQuoted = !isQuoted
      return piece
    }
    return isQuoted ? piece : (next ?? '')
  })
}
