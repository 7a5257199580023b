import { UsageError } from '../usage-error.js'

/** A request as it was made once: typed in, or taken from a recording. */
export interface CapturedRequest {
  readonly method: string
  /** Absolute, or path with query. */
  readonly url: string
  /** Names in lower case; one value for each field. */
  readonly headers: { readonly [name: string]: readonly string[] }
  /** Milliseconds since the epoch, where the recording tells. */
  readonly at?: number
}

export function groupFields(
  fields: Iterable<readonly [name: string, value: string]>,
): CapturedRequest['headers'] {
  const headers: Record<string, string[]> = Object.create(null)
  for (const [name, value] of fields) {
    const lower = name.trim().toLowerCase()
    headers[lower] = [...(headers[lower] ?? []), value.trim()]
  }
  return headers
}

/** `Name: value`. */
export function readField(text: string): readonly [name: string, value: string] {
  const colon = text.indexOf(':')
  if (colon < 1) throw new UsageError('a header field has no colon: write it as "Name: value"')
  return [text.slice(0, colon), text.slice(colon + 1)]
}

/**
 * One of several recorded requests: the one that was asked for, counted from 1, else the first that was
 * refused.
 */
export function pick<T>(
  entries: readonly T[],
  asked: number | undefined,
  wasRefused: (entry: T) => boolean,
  what: string,
): T {
  if (asked === undefined) {
    const found = entries.find(wasRefused) ?? entries[0]
    if (found === undefined) throw new UsageError(`${what} holds no request`)
    return found
  }
  const entry = entries[asked - 1]
  if (entry === undefined)
    throw new UsageError(`${what} has ${entries.length} requests: there is no --entry ${asked}`)
  return entry
}
