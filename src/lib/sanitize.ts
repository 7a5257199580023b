/** What stands in a span or a log line is cut to this many characters: it may come from a token of many. */
const maxLength = 128

/** Controls, line breaks of any kind, marks that turn or hide text (CWE-117, CWE-451), halves of a pair. */
const unprintable = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu

/**
 * Text that is fit for one line of a log or one attribute. What cannot be shown is replaced, not taken out:
 * otherwise one agent's id could be made to look like another's.
 */
export function printable(text: string): string {
  return text.slice(0, maxLength).replace(unprintable, '\ufffd')
}
