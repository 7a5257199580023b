import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node'
import { expect, test } from 'vitest'
import { createKit } from '../../../fixtures/kit.js'
import { verifierFor } from '../../support/verify.js'

test.each([
  [true, { 'ajwt.outcome': 'allow' }],
  [false, { 'ajwt.outcome': 'deny', 'ajwt.code': 'not_authorized' }],
])('the answer %s of the hook authorize is a child span', async (answer, attributes) => {
  const kit = createKit()
  const exporter = new InMemorySpanExporter()
  const tracerProvider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
  const authorize = async () => {
    await new Promise((done) => setTimeout(done, 30))
    return answer
  }
  await verifierFor(kit, {}, { authorize, tracerProvider, traceAllowed: 1 }).verify(kit.call())
  const spans = exporter.getFinishedSpans()
  const [child, parent] = ['ajwt.authorize', 'ajwt.verify'].map((name) =>
    spans.find((span) => span.name === name),
  )
  expect(spans).toHaveLength(2)
  expect(child?.attributes).toEqual(attributes)
  expect(child?.parentSpanContext?.spanId).toBe(parent?.spanContext().spanId)
  expect(child?.duration[1]).toBeGreaterThan(25_000_000)
  expect(child?.duration[1]).toBeLessThanOrEqual(parent?.duration[1] ?? 0)
})
