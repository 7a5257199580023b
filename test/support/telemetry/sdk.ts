import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-http'
import { PrometheusExporter } from '@opentelemetry/exporter-prometheus'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics'
import { BatchSpanProcessor, NodeTracerProvider, type SpanProcessor } from '@opentelemetry/sdk-trace-node'

/** The SDK with its exporters, which send to `url`. It is not registered globally. */
export function createSdk(url: string, more: SpanProcessor[] = []) {
  const prometheus = new PrometheusExporter({ preventServerStart: true })
  const spanProcessor = new BatchSpanProcessor(new OTLPTraceExporter({ url: `${url}/v1/traces` }), {
    maxQueueSize: 100_000,
  })
  const tracerProvider = new NodeTracerProvider({ spanProcessors: [spanProcessor, ...more] })
  const meterProvider = new MeterProvider({
    readers: [
      new PeriodicExportingMetricReader({
        exporter: new OTLPMetricExporter({ url: `${url}/v1/metrics` }),
        exportIntervalMillis: 3_600_000,
      }),
      prometheus,
    ],
  })
  return {
    spanProcessor,
    tracerProvider,
    meterProvider,
    async flush() {
      await tracerProvider.forceFlush()
      await meterProvider.forceFlush()
    },
    /** The Prometheus metrics page, fetched over HTTP. */
    async prometheusPage(): Promise<string> {
      const server = createServer((request, response) =>
        prometheus.getMetricsRequestHandler(request, response),
      )
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      try {
        const response = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/metrics`)
        return await response.text()
      } finally {
        server.close()
        server.closeAllConnections()
      }
    },
    async close() {
      await tracerProvider.shutdown()
      await meterProvider.shutdown()
    },
  }
}
