/** Servers under load, protected and unprotected, each in a separate process. */
import { type ChildProcess, fork } from 'node:child_process'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { AppSettings, Framework, Guard } from './app.js'
import type { LoadCommand, LoadResult } from './load.js'
import { fixed, type Report, watchHost } from './report.js'
import { median } from './statistics.js'

/** Of a server's process since the last message about it. */
interface Usage {
  /** Median of a raw verification, in milliseconds. */
  readonly rawVerification: number
  /** All threads, in microseconds. */
  readonly cpu: number
}

interface App {
  readonly framework: Framework
  readonly guard: Guard
  readonly url: string
  usage(): Promise<Usage>
  close(): void
}

export function start(file: string): ChildProcess {
  return fork(new URL(file, import.meta.url))
}

export function responseOf<T>(child: ChildProcess, message?: object | string): Promise<T> {
  return new Promise((resolve, reject) => {
    const ended = (code: number | null) => reject(new Error(`exit ${code}`))
    child.once('exit', ended)
    child.once('message', (answer: { error?: string }) => {
      child.off('exit', ended)
      if (answer.error === undefined) resolve(answer as T)
      else reject(new Error(answer.error))
    })
    if (message !== undefined) child.send(message)
  })
}

/** Starts apps and a load generator, and stops them when `use` is done. */
async function withApps<T>(
  wanted: readonly (readonly [Framework, Guard])[],
  use: (apps: readonly App[], load: (command: LoadCommand) => Promise<LoadResult>) => Promise<T>,
): Promise<T> {
  const generator = start('./load.js')
  let jwks: AppSettings['jwks'] = { keys: [] }
  // Only the other library fetches it. The policies of ajwt contain the keys.
  const issuer = createServer((_, response) => {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify(jwks))
  })
  await new Promise<void>((resolve) => issuer.listen(0, '127.0.0.1', resolve))
  const jwksUri = `http://127.0.0.1:${(issuer.address() as AddressInfo).port}/jwks`
  const children: ChildProcess[] = [generator]
  try {
    const apps: App[] = []
    for (const [framework, guard] of wanted) {
      const child = start('./app.js')
      children.push(child)
      const { port } = await responseOf<{ port: number }>(child)
      const url = `http://127.0.0.1:${port}`
      const prepared = await responseOf<{ jwks: AppSettings['jwks'] }>(generator, { command: 'prepare', url })
      if (guard === 'express-oauth2-jwt-bearer') jwks = prepared.jwks
      const settings: AppSettings = { framework, guard, url, jwks: prepared.jwks, jwksUri }
      await responseOf(child, settings)
      apps.push({
        framework,
        guard,
        url,
        usage: () => responseOf<Usage>(child, 'usage'),
        close: () => child.disconnect(),
      })
    }
    return await use(apps, (command) => responseOf<LoadResult>(generator, command))
  } finally {
    for (const child of children) child.disconnect()
    issuer.close()
  }
}

function isOpen(guard: Guard): boolean {
  return guard === 'none' || guard === 'one raw verification'
}

/** Throws unless a protected app denies a request without credentials. */
async function assertProtected({ guard, url }: App): Promise<void> {
  const response = await fetch(`${url}/orders/1`)
  await response.arrayBuffer()
  const { status } = response
  const expected = isOpen(guard) ? 200 : 401
  if (status !== expected)
    throw new Error(`${guard} responds with ${status} to a request without credentials`)
}

interface Measurements {
  readonly runs: LoadResult[]
  readonly rawVerifications: number[]
  /** Microseconds of CPU for one request. */
  readonly cpu: number[]
}

/** Measures all apps in turns, for several rounds. */
async function measure(
  apps: readonly App[],
  load: (command: LoadCommand) => Promise<LoadResult>,
  { rounds, connections, requests }: { rounds: number; connections: number; requests: number },
): Promise<Measurements[]> {
  const measured = apps.map((): Measurements => ({ runs: [], rawVerifications: [], cpu: [] }))
  const warmUp = 2
  for (let round = 0; round < warmUp + rounds; round++) {
    for (const [index, app] of apps.entries()) {
      await app.usage()
      const run = await load({ command: 'run', url: app.url, connections, requests })
      const { rawVerification, cpu } = await app.usage()
      // The first rounds warm up.
      if (round < warmUp) continue
      measured[index]?.runs.push(run)
      measured[index]?.rawVerifications.push(rawVerification)
      measured[index]?.cpu.push(cpu / (connections * requests))
    }
  }
  return measured
}

const ms = (value: number) => `${fixed(value, 2)} ms`
const middle = (runs: readonly LoadResult[], of: (run: LoadResult) => number) => median(runs.map(of))

export async function httpSection(report: Report): Promise<void> {
  report.heading('Over HTTP')
  report.text(
    'Each server and the load generator (autocannon) have a process of their own, on the same machine. ' +
      'All servers get the same headers and send the same body. The bound is 1 / (1 / unprotected + one ' +
      'raw verification). The raw verification is measured under the same load, in a server that ' +
      'verifies one signature for each request and checks nothing else. The shares of the bound, and of ' +
      'the throughput of that server, are medians of the rounds. "CPU" is that of all threads of the ' +
      'server for one request. "Busy" is the load of the generator.',
  )
  const frameworks: readonly Framework[] = ['Express', 'Koa', 'Hono', 'Fastify']
  const wanted = [
    ...frameworks.flatMap((framework) => [
      [framework, 'none'] as const,
      [framework, 'one raw verification'] as const,
      [framework, 'ajwt'] as const,
    ]),
    ['Express', 'express-oauth2-jwt-bearer'] as const,
  ]
  await withApps(wanted, async (apps, load) => {
    for (const app of apps) await assertProtected(app)
    const host = watchHost()
    for (const [connections, requests, rounds] of [
      [32, 100, 5],
      [100, 30, 3],
      [1, 500, 3],
    ] as const) {
      const measured = await measure(apps, load, { rounds, connections, requests })
      const rows = apps.map(({ framework, guard }, index) => {
        const { runs, cpu } = measured[index] as Measurements
        const of = (other: Guard) =>
          measured[
            apps.findIndex((app) => app.framework === framework && app.guard === other)
          ] as Measurements
        const shares = runs.map(({ perSecond }, round) => {
          const unprotected = (of('none').runs[round] as LoadResult).perSecond
          return (
            perSecond *
            (1 / unprotected + (of('one raw verification').rawVerifications[round] as number) / 1000)
          )
        })
        const others = runs.map(
          ({ perSecond }, round) =>
            perSecond / (of('one raw verification').runs[round] as LoadResult).perSecond,
        )
        return [
          `${framework}, ${guard === 'none' ? 'unprotected' : guard}`,
          fixed(
            middle(runs, (run) => run.perSecond),
            0,
          ),
          `${fixed(median(cpu), 0)} µs`,
          isOpen(guard) ? '' : fixed(median(shares), 2),
          isOpen(guard) ? '' : fixed(median(others), 2),
          ms(middle(runs, (run) => run.p50)),
          ms(middle(runs, (run) => run.p99)),
          ms(middle(runs, (run) => run.p999)),
          fixed(
            middle(runs, (run) => run.generatorBusy),
            2,
          ),
        ]
      })
      report.text(connections === 1 ? 'One connection:' : `${connections} connections:`)
      report.table(
        [
          '',
          'requests a second',
          'CPU',
          'of the bound',
          'of one raw verification',
          'p50',
          'p99',
          'p99.9',
          'busy',
        ],
        rows,
      )
      report.text(host())
    }
  })
}

/** Compares signatures on the event loop with signatures in the thread pool. */
export async function threadSection(report: Report): Promise<void> {
  report.heading('Event loop or thread pool')
  report.text(
    'A `node:http` server calls `verifier.verify`, which is forced to verify every signature on the ' +
      'event loop or in the thread pool. By default it verifies on the event loop while there is one ' +
      'request at a time, and in the pool if another request is in progress or arrives in the same tick ' +
      'of the event loop.',
  )
  const wanted = [
    ['node:http', 'ajwt, event loop'],
    ['node:http', 'ajwt, thread pool'],
  ] as const
  await withApps(wanted, async (apps, load) => {
    for (const app of apps) await assertProtected(app)
    const rows: string[][] = []
    for (const [connections, requests] of [
      [1, 1000],
      [4, 500],
      [32, 150],
      [128, 40],
    ] as const) {
      const measured = await measure(apps, load, { rounds: 2, connections, requests })
      for (const [index, { guard }] of apps.entries()) {
        const { runs } = measured[index] as Measurements
        rows.push([
          `${connections} ${connections === 1 ? 'connection' : 'connections'}, ` +
            `${guard.slice('ajwt, '.length)}`,
          fixed(
            middle(runs, (run) => run.perSecond),
            0,
          ),
          ms(middle(runs, (run) => run.p50)),
          ms(middle(runs, (run) => run.p99)),
          ms(middle(runs, (run) => run.p999)),
        ])
      }
    }
    report.table(['', 'requests a second', 'p50', 'p99', 'p99.9'], rows)
  })
}
