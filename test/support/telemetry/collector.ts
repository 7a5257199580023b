import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gunzipSync } from 'node:zlib'

/** An attribute in OTLP JSON. */
interface OtlpAttribute {
  readonly key: string
  readonly value: {
    readonly stringValue?: string
    readonly intValue?: number | string
    readonly doubleValue?: number
    readonly boolValue?: boolean
    readonly arrayValue?: object
  }
}

interface OtlpSpan {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly name: string
  readonly kind: number
  readonly startTimeUnixNano: string
  readonly endTimeUnixNano: string
  readonly attributes: OtlpAttribute[]
  readonly status?: { readonly code?: number; readonly message?: string }
}

interface OtlpPoint {
  readonly attributes: OtlpAttribute[]
  readonly asInt?: number | string
  readonly asDouble?: number
  readonly count?: number | string
  readonly explicitBounds?: number[]
}

interface OtlpMetric {
  readonly name: string
  readonly unit?: string
  readonly sum?: { readonly dataPoints: OtlpPoint[]; readonly isMonotonic: boolean }
  readonly gauge?: { readonly dataPoints: OtlpPoint[] }
  readonly histogram?: { readonly dataPoints: OtlpPoint[] }
}

interface Scope {
  readonly scope: { readonly name: string }
}

interface TracesRequest {
  readonly resourceSpans: { readonly scopeSpans: (Scope & { readonly spans: OtlpSpan[] })[] }[]
}

interface MetricsRequest {
  readonly resourceMetrics: { readonly scopeMetrics: (Scope & { readonly metrics: OtlpMetric[] })[] }[]
}

export type Values = Record<string, string | number | boolean>

export interface Span extends Omit<OtlpSpan, 'attributes'> {
  readonly scope: string
  readonly attributes: Values
}

export interface Metric {
  readonly name: string
  readonly unit: string | undefined
  readonly points: { attributes: Values; value: number; bounds: number[] | undefined }[]
}

/** An OTLP/HTTP receiver on loopback. */
export interface Collector {
  readonly url: string
  spans(): Span[]
  /** The metrics of the latest export. */
  metrics(): Metric[]
  /** All received bytes as text. */
  text(): string
  close(): Promise<void>
}

export async function startCollector(): Promise<Collector> {
  const traces: TracesRequest[] = []
  const metrics: MetricsRequest[] = []
  const texts: string[] = []
  const server = createServer(async (request, response) => {
    const body = await read(request)
    texts.push(body)
    const isJson = request.headers['content-type'] === 'application/json'
    if (!isJson) response.statusCode = 415
    else if (request.url === '/v1/traces') traces.push(JSON.parse(body))
    else if (request.url === '/v1/metrics') metrics.push(JSON.parse(body))
    else response.statusCode = 404
    response.setHeader('content-type', 'application/json').end('{}')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans: () => traces.flatMap(spansOf),
    metrics: () => metrics.slice(-1).flatMap(metricsOf),
    text: () => texts.join('\n'),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function read(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  const bytes = Buffer.concat(chunks)
  return (request.headers['content-encoding'] === 'gzip' ? gunzipSync(bytes) : bytes).toString()
}

function spansOf({ resourceSpans }: TracesRequest): Span[] {
  return resourceSpans.flatMap(({ scopeSpans }) =>
    scopeSpans.flatMap(({ scope, spans }) =>
      spans.map((span) => ({ ...span, scope: scope.name, attributes: valuesOf(span.attributes) })),
    ),
  )
}

function metricsOf({ resourceMetrics }: MetricsRequest): Metric[] {
  return resourceMetrics.flatMap(({ scopeMetrics }) =>
    scopeMetrics.flatMap(({ metrics }) =>
      metrics.map(({ name, unit, sum, gauge, histogram }) => ({
        name,
        unit,
        points: (sum ?? gauge ?? histogram)?.dataPoints.map(toPoint) ?? [],
      })),
    ),
  )
}

function toPoint({ attributes, asInt, asDouble, count, explicitBounds }: OtlpPoint) {
  return {
    attributes: valuesOf(attributes),
    value: Number(asInt ?? asDouble ?? count),
    bounds: explicitBounds,
  }
}

function valuesOf(attributes: OtlpAttribute[]): Values {
  return Object.fromEntries(
    attributes.map(({ key, value }) => {
      const { stringValue, intValue, doubleValue, boolValue } = value
      const number = intValue ?? doubleValue
      return [
        key,
        stringValue ?? boolValue ?? (number === undefined ? JSON.stringify(value) : Number(number)),
      ]
    }),
  )
}
