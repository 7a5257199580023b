import { isObject } from '../../lib/objects.js'
import { readJsonFile } from '../files.js'
import { UsageError } from '../usage-error.js'
import { type CapturedRequest, groupFields, pick } from './captured.js'

/** Reads a request of a HAR file (HTTP Archive 1.2), or of a file that holds one entry of it. */
export function readHar(file: string, asked: number | undefined): CapturedRequest {
  const entries = entriesOf(readJsonFile(file, 'recording'))
  if (entries === undefined)
    throw new UsageError(`${file} is no HAR file: it has neither "log.entries" nor a "request"`)
  const { entry, source } = pick(entries.map(toRecorded), asked, file)
  const { method, url, headers, at } = entry
  if (typeof method !== 'string' || typeof url !== 'string' || !entry.hasFields)
    throw new UsageError(`${file}: the request has no method, url or headers`)
  return {
    method,
    // The handshake of a WebSocket is a request of HTTP.
    url: url.replace(/^ws(?=s?:)/i, 'http'),
    headers,
    ...(at === undefined ? {} : { at }),
    ...(source === undefined ? {} : { source }),
    withoutCredentials:
      'A browser may leave Authorization out of a HAR file. Chrome: allow "HAR with sensitive data" in the network settings of DevTools, and export with it. Firefox leaves nothing out.',
  }
}

interface RecordedEntry {
  readonly method: unknown
  readonly url: unknown
  readonly headers: CapturedRequest['headers']
  readonly hasFields: boolean
  readonly status: number | undefined
  readonly at: number | undefined
}

function toRecorded(entry: Record<string, unknown>): RecordedEntry {
  const request = isObject(entry.request) ? entry.request : entry
  const { method, url, headers } = request
  const fields = Array.isArray(headers) ? headers.flatMap(readHarField) : []
  const at = Date.parse(String(entry.startedDateTime))
  const status = isObject(entry.response) ? entry.response.status : undefined
  return {
    method,
    url,
    headers: groupFields(fields),
    hasFields: Array.isArray(headers),
    status: typeof status === 'number' ? status : undefined,
    at: Number.isNaN(at) ? undefined : at,
  }
}

/** Pseudo-header fields of HTTP/2 are no header fields. */
function readHarField(field: unknown): (readonly [name: string, value: string])[] {
  if (!isObject(field) || typeof field.name !== 'string' || typeof field.value !== 'string') return []
  return field.name.startsWith(':') ? [] : [[field.name, field.value]]
}

function entriesOf(document: unknown): Record<string, unknown>[] | undefined {
  if (!isObject(document)) return undefined
  const log = isObject(document.log) ? document.log : document
  if (Array.isArray(log.entries)) return log.entries.filter(isObject)
  return isObject(document.request) || typeof document.url === 'string' ? [document] : undefined
}
