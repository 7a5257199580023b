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
  /** Which request of the recording it is, if there are several. */
  readonly source?: string
  /** Why a recording of this kind may lack the credentials. */
  readonly withoutCredentials?: string
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

/** A request of a recording, as far as its choice needs it. */
interface Recorded {
  readonly headers: CapturedRequest['headers']
  /** The status of the response. Undefined or 0: there was none, or the browser has hidden it. */
  readonly status: number | undefined
}

/**
 * One of several recorded requests: the one that was asked for, counted from 1, else the first that was
 * refused. One with credentials goes before a CORS preflight and requests for other things.
 */
export function pick<T extends Recorded>(
  entries: readonly T[],
  asked: number | undefined,
  what: string,
): { entry: T; source: string | undefined } {
  const choice = asked === undefined ? chooseRefused(entries) : entries[asked - 1]
  if (choice === undefined)
    throw new UsageError(
      entries.length === 0 || asked === undefined
        ? `${what} holds no request`
        : `${what} has ${entries.length} ${entries.length === 1 ? 'request' : 'requests'}: there is no --entry ${asked}`,
    )
  const place = entries.indexOf(choice) + 1
  return {
    entry: choice,
    source: entries.length > 1 ? `${place} of ${entries.length} in ${what}` : undefined,
  }
}

function chooseRefused<T extends Recorded>(entries: readonly T[]): T | undefined {
  const isRefused = ({ status = 0 }: Recorded) => status >= 400
  const isUnanswered = ({ status = 0 }: Recorded) => status === 0
  return (
    entries.find((entry) => isRefused(entry) && hasCredentials(entry)) ??
    entries.find(isRefused) ??
    entries.find((entry) => isUnanswered(entry) && hasCredentials(entry)) ??
    entries.find(hasCredentials) ??
    entries[0]
  )
}

function hasCredentials({ headers }: Recorded): boolean {
  return headers.authorization !== undefined || headers.dpop !== undefined
}

/** Refuses a recording whose tool has put something else in place of the credentials. */
export function refuseRedacted({ headers }: Pick<CapturedRequest, 'headers'>): void {
  for (const name of ['authorization', 'dpop']) {
    const value = headers[name]?.find((text) => redacted.test(text))
    if (value === undefined) continue
    throw new UsageError(
      `the recording has ${JSON.stringify(value)} in place of the field ${name}: record without the filter, or give --url, --token and --proof`,
    )
  }
}

const redacted =
  /^((dpop|bearer) )?([*x•.]{3,}|[<[({]*\s*(redacted|filtered|masked|removed|hidden|sanitized)\b.*)$/i
