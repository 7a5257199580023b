/** The maximum number of characters of a text in a span or a log line. */
const maxLength = 128

/**
 * Control characters, line breaks, bidirectional and invisible characters, lone surrogates (CWE-117,
 * CWE-451).
 */
const unprintable = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu

/** Replaces unprintable characters, in a text of any length. */
export function withoutControls(text: string): string {
  return text.replace(unprintable, '\ufffd')
}

/**
 * Makes a text safe for a log line or a span attribute. Replaces unprintable characters instead of removing
 * them, so that no id can look like another agent's.
 */
export function printable(text: string): string {
  return withoutControls(text.slice(0, maxLength))
}
