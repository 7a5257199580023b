/**
 * A server's text, fit for an error message: a server that echoes a request must not make the client write
 * its own token, proof or secret into a log. Whatever was sent is taken out, and with it any unbroken run that
 * could be a piece of it; control characters, too, and all beyond 300 characters.
 *
 * @param plain names that are no secret, such as a workflow's, and stay however long they are
 */
export function redact(
  value: unknown,
  secrets: readonly string[],
  plain: readonly (string | undefined)[] = [],
): string | undefined {
  if (typeof value !== 'string' || value === '') return undefined
  let text = value
  for (const secret of secrets) if (secret.length > 3) text = text.replaceAll(secret, '[redacted]')
  return text
    .replace(/[A-Za-z0-9._~+/=-]{40,}/g, (run) =>
      plain.includes(run.replace(/\.$/, '')) ? run : '[redacted]',
    )
    .replace(/[^\x20-\x7e]+/g, ' ')
    .slice(0, 300)
}
