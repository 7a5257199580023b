import { isObject } from '../../lib/objects.js'
import { readJsonFile } from '../policy-file.js'
import { UsageError } from '../usage-error.js'
import { type CapturedRequest, groupFields, pick } from './captured.js'

/** Reads a request of a HAR file (HTTP Archive 1.2), or of a file that holds one entry of it. */
export function readHar(file: string, asked: number | undefined): CapturedRequest {
  const document = readJsonFile(file)
  const entries = entriesOf(document)
  if (entries === undefined)
    throw new UsageError(`${file} is no HAR file: it has neither "log.entries" nor a "request"`)
  const entry = pick(entries, asked, wasRefused, file)
  const request = isObject(entry.request) ? entry.request : entry
  const { method, url, headers } = request
  if (typeof method !== 'string' || typeof url !== 'string' || !Array.isArray(headers))
    throw new UsageError(`${file}: the request has no method, url or headers`)
  const fields = headers.flatMap((field) =>
    isObject(field) && typeof field.name === 'string' && typeof field.value === 'string'
      ? // What HTTP/2 has in place of the request line is no field.
        field.name.startsWith(':')
        ? []
        : [[field.name, field.value] as const]
      : [],
  )
  const at = Date.parse(String(entry.startedDateTime))
  return { method, url, headers: groupFields(fields), ...(Number.isNaN(at) ? {} : { at }) }
}

function entriesOf(document: unknown): Record<string, unknown>[] | undefined {
  if (!isObject(document)) return undefined
  const log = isObject(document.log) ? document.log : document
  if (Array.isArray(log.entries)) return log.entries.filter(isObject)
  return isObject(document.request) || typeof document.url === 'string' ? [document] : undefined
}

function wasRefused({ response }: Record<string, unknown>): boolean {
  return isObject(response) && typeof response.status === 'number' && response.status >= 400
}
