/** The SDK setup that an operator loads before an app: `node --import ./otel.js server.js`. */
import { register } from 'node:module'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { registerInstrumentations } from '@opentelemetry/instrumentation'
import { HttpInstrumentation } from '@opentelemetry/instrumentation-http'
import { BatchSpanProcessor, NodeTracerProvider } from '@opentelemetry/sdk-trace-node'

// Only the instrumented modules: by default the hook wraps every module.
register('@opentelemetry/instrumentation/hook.mjs', import.meta.url, {
  data: { include: ['http', 'https', 'node:http', 'node:https'] },
})
const provider = new NodeTracerProvider({ spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())] })
provider.register()
registerInstrumentations({ instrumentations: [new HttpInstrumentation()] })

process.on('message', async () => {
  await provider.shutdown()
  process.exit()
})
