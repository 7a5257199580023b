/** Texts in spans and log lines are cut to this many characters. */
const maxLength = 128

/** Control characters, line breaks, bidirectional and invisible marks, lone surrogates (CWE-117, CWE-451). */
const unprintable = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu

/**
 * Makes a text fit for a log line or a span attribute. Unprintable characters are replaced and not removed: otherwise
 * one agent's id could be made to look like another's.
 */
export function printable(text: string): string {
  return text.slice(0, maxLength).replace(unprintable, '\ufffd')
}
