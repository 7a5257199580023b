import { isObject } from '../../lib/objects.js'
import { readText } from '../files.js'
import { UsageError } from '../usage-error.js'
import { type CapturedRequest, groupFields, pick } from './captured.js'

interface Span {
  readonly name: string
  readonly attributes: ReadonlyMap<string, readonly string[]>
  readonly at: number | undefined
}

const fieldPrefix = 'http.request.header.'

/**
 * Reads the request of a server span out of OTLP in JSON: one export request, one span, or one of these a
 * line, as the Collector's file exporter writes them. The span needs the captured fields `authorization` and
 * `dpop`.
 */
export function readOtlp(file: string, asked: number | undefined): CapturedRequest {
  const spans = readDocuments(file).flatMap(spansIn).map(toSpan)
  const captured = spans.filter(({ attributes }) =>
    [...attributes.keys()].some((key) => key.startsWith(fieldPrefix)),
  )
  if (captured.length === 0) throw new UsageError(explainMissing(file, spans))
  const { entry, source } = pick(captured.map(toRecorded), asked, file)
  const { attributes, at, headers } = entry
  const method = one({ attributes }, 'http.request.method', 'http.method')
  const url = urlOf(attributes)
  if (method === undefined || url === undefined)
    throw new UsageError(`${file}: the span has no http.request.method, or neither url.full nor url.path`)
  return {
    method,
    url,
    headers,
    ...(at === undefined ? {} : { at }),
    ...(source === undefined ? {} : { source }),
    withoutCredentials: `The span has captured other fields, and not authorization. ${howToCapture}`,
  }
}

const howToCapture =
  'Let the HTTP instrumentation of the API capture authorization and dpop (OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST), for as long as you need it'

function toRecorded(span: Span) {
  const fields = [...span.attributes].flatMap(([key, values]) =>
    key.startsWith(fieldPrefix)
      ? values.map((value) => [key.slice(fieldPrefix.length).replaceAll('_', '-'), value] as const)
      : [],
  )
  const status = one(span, 'http.response.status_code', 'http.status_code')
  return { ...span, headers: groupFields(fields), status: status === undefined ? undefined : Number(status) }
}

function readDocuments(file: string): unknown[] {
  const text = readText(file, 'recording')
  try {
    return [JSON.parse(text)]
  } catch {
    try {
      return text.split('\n').flatMap((line) => (line.trim() === '' ? [] : [JSON.parse(line)]))
    } catch {
      throw new UsageError(
        `${file} is no OTLP in JSON: the Collector's file exporter writes it with format: json`,
      )
    }
  }
}

/** Members in which exporters and backends have spans: OTLP, its first version, and Grafana Tempo. */
const containers = [
  'resourceSpans',
  'scopeSpans',
  'instrumentationLibrarySpans',
  'spans',
  'batches',
  'trace',
] as const

/** Every object with attributes and a name, wherever it is. */
function spansIn(document: unknown): Record<string, unknown>[] {
  if (Array.isArray(document)) return document.flatMap(spansIn)
  if (!isObject(document)) return []
  const inner = containers.flatMap((name) => spansIn(document[name]))
  const isSpan = typeof document.attributes === 'object' && typeof document.name === 'string'
  return isSpan ? [document, ...inner] : inner
}

function toSpan({ name, attributes, startTimeUnixNano }: Record<string, unknown>): Span {
  const nanoseconds = Number(startTimeUnixNano)
  const at = nanoseconds > 0 ? Math.round(nanoseconds / 1e6) : undefined
  return { name: String(name), attributes: new Map(pairsOf(attributes)), at }
}

/** OTLP has a list of `{ key, value }`. Exporters for people write an object of plain values. */
function pairsOf(attributes: unknown): (readonly [key: string, texts: string[]])[] {
  if (!Array.isArray(attributes))
    return isObject(attributes)
      ? Object.entries(attributes).map(([key, value]) => [key, plainTextsOf(key, value)] as const)
      : []
  return attributes.flatMap((attribute) =>
    isObject(attribute) && typeof attribute.key === 'string'
      ? [[attribute.key, textsOf(attribute.key, attribute.value)] as const]
      : [],
  )
}

function textsOf(key: string, value: unknown): string[] {
  if (!isObject(value)) return []
  if (isObject(value.arrayValue) && Array.isArray(value.arrayValue.values))
    return value.arrayValue.values.flatMap((inner) => textsOf(key, inner))
  return plainTextsOf(key, value.stringValue ?? value.intValue ?? value.boolValue)
}

function plainTextsOf(key: string, value: unknown): string[] {
  if (Array.isArray(value)) return value.map(String)
  if (value === undefined || value === null) return []
  const text = String(value)
  return key.startsWith(fieldPrefix) && text.startsWith('[') ? (listIn(text) ?? [text]) : [text]
}

/** Backends without arrays have the list of a field's values as a text: `["DPoP …"]`. */
function listIn(text: string): string[] | undefined {
  try {
    const list: unknown = JSON.parse(text)
    return Array.isArray(list) ? list.map(String) : undefined
  } catch {
    return undefined
  }
}

function one({ attributes }: Pick<Span, 'attributes'>, ...keys: string[]): string | undefined {
  return keys.map((key) => attributes.get(key)?.[0]).find((value) => value !== undefined)
}

function urlOf(attributes: Span['attributes']): string | undefined {
  const url = one({ attributes }, 'url.full', 'http.url', 'http.target')
  if (url !== undefined) return url
  const [path, query] = [one({ attributes }, 'url.path'), one({ attributes }, 'url.query')]
  return path !== undefined && query !== undefined && query !== '' ? `${path}?${query}` : path
}

/** The spans of the library itself never hold credentials, and yet they tell what came of the request. */
function explainMissing(file: string, spans: readonly Span[]): string {
  const denial = spans.find(({ name }) => name === 'ajwt.verify')
  const code = denial && one(denial, 'ajwt.code')
  const spanNote = code === undefined ? '' : ` Its span ajwt.verify says ${code}.`
  return `${file} has no span with request fields.${spanNote} ${howToCapture}`
}
