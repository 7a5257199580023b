/**
 * Makes text from a server fit for an error message. A server may echo the request, and the client must not
 * log its own token, proof or secret. Removes `secrets`, any unbroken run of 40 characters that could be part
 * of one, control characters, and everything beyond 300 characters.
 *
 * @param plain names that are not secret, such as a workflow id; they stay at any length
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
