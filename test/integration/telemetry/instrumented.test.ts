import { type ChildProcess, fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createKit, issuerJwks } from '../../../fixtures/kit.js'
import { type Collector, type Span, startCollector } from '../../support/telemetry/collector.js'

const file = (name: string) =>
  fileURLToPath(new URL(`../../support/telemetry/spawned/${name}.ts`, import.meta.url))
const SERVER = 2

let collector: Collector
beforeAll(async () => {
  collector = await startCollector()
})
afterAll(() => collector.close())

interface Told {
  readonly outcome: string
  readonly overrules?: string
  readonly traceId?: string
}

async function startApp(framework: string) {
  const child: ChildProcess = fork(file('app'), [framework, JSON.stringify(issuerJwks())], {
    execArgv: ['--import', 'tsx', '--import', file('otel')],
    env: { ...process.env, OTEL_EXPORTER_OTLP_ENDPOINT: collector.url },
  })
  const told: Told[] = []
  const origin = await new Promise<string>((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`exited with ${code}`)))
    child.on('message', (message: Told & { origin?: string }) => {
      if (message.origin === undefined) told.push(message)
      else resolve(message.origin)
    })
  })
  return {
    origin,
    told,
    async stop() {
      child.send('stop')
      await once(child, 'exit')
    },
  }
}

describe.each(['Express 5', 'Koa 3', 'Hono 4'])('on %s under instrumentation-http', (framework) => {
  it('each decision is a child of the span of its own request', async () => {
    const kit = createKit(Date.now())
    const app = await startApp(framework)
    const requests = [
      { method: 'GET', path: '/orders/1', verdicts: ['allow'] },
      { method: 'GET', path: '/admin/1', verdicts: ['deny'] },
      { method: 'GET', path: '/admin/2', verdicts: ['deny'] },
      { method: 'GET', path: '/orders/2', verdicts: ['allow'] },
      { method: 'DELETE', path: '/orders/3', verdicts: ['allow', 'deny'] },
    ].map((request) => ({ ...request, traceId: randomBytes(16).toString('hex') }))
    // All at once: none must end up in another's trace.
    await Promise.all(
      requests.map(async ({ method, path, traceId }) => {
        const { headers } = kit.call({ method, path })
        const traceparent = `00-${traceId}-${randomBytes(8).toString('hex')}-01`
        await fetch(app.origin + path, {
          method,
          headers: [...headers.map(copy), ['traceparent', traceparent]],
        })
      }),
    )
    await app.stop()

    for (const { traceId, path, verdicts } of requests) {
      const spans = collector.spans().filter((span) => span.traceId === traceId)
      const server = spans.find(({ kind }) => kind === SERVER) as Span
      const ours = spans.filter(({ name }) => name === 'ajwt.verify')
      expect(
        ours.map(({ attributes }) => attributes['ajwt.outcome']),
        path,
      ).toEqual(verdicts)
      for (const span of ours) expect(span.parentSpanId).toBe(server.spanId)
      expect(app.told.filter((told) => told.traceId === traceId).map(({ outcome }) => outcome)).toEqual(
        verdicts,
      )
    }
    expect(app.told.map(({ overrules }) => overrules).filter((outcome) => outcome !== undefined)).toEqual([
      'allow',
    ])
  })
})

function copy([name, value]: readonly [string, string]): [string, string] {
  return [name, value]
}
