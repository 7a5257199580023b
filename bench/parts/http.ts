/** Whole servers under load, with a guard and without, each in a process of its own. */
import { type ChildProcess, fork } from 'node:child_process'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { AppSettings, Framework, Guard } from './app.js'
import type { LoadCommand, LoadResult } from './load.js'
import { fixed, type Report, watchHost } from './report.js'
import { median } from './statistics.js'

interface App {
  readonly framework: Framework
  readonly guard: Guard
  readonly url: string
  /** Milliseconds that a raw verification took in the server's process, under the load since it was last asked. */
  floor(): Promise<number>
  close(): void
}

function start(file: string): ChildProcess {
  return fork(new URL(file, import.meta.url))
}

function answerOf<T>(child: ChildProcess, message?: object | string): Promise<T> {
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

/** Starts apps and a load generator, and stops them all when `use` is done. */
async function withApps<T>(
  wanted: readonly (readonly [Framework, Guard])[],
  use: (apps: readonly App[], load: (command: LoadCommand) => Promise<LoadResult>) => Promise<T>,
): Promise<T> {
  const generator = start('./load.js')
  let jwks: AppSettings['jwks'] = { keys: [] }
  // Only the other library fetches it: the policies of ours hold the keys.
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
      const { port } = await answerOf<{ port: number }>(child)
      const url = `http://127.0.0.1:${port}`
      const prepared = await answerOf<{ jwks: AppSettings['jwks'] }>(generator, { command: 'prepare', url })
      if (guard === 'express-oauth2-jwt-bearer') jwks = prepared.jwks
      const settings: AppSettings = { framework, guard, url, jwks: prepared.jwks, jwksUri }
      await answerOf(child, settings)
      apps.push({
        framework,
        guard,
        url,
        floor: async () => (await answerOf<{ floor: number }>(child, 'floor')).floor,
        close: () => child.disconnect(),
      })
    }
    return await use(apps, (command) => answerOf<LoadResult>(generator, command))
  } finally {
    for (const child of children) child.disconnect()
    issuer.close()
  }
}

function isOpen(guard: Guard): boolean {
  return guard === 'none' || guard === 'one raw verification'
}

/** Refuses what has to be refused, or it is not measured. */
async function prove({ guard, url }: App): Promise<void> {
  const response = await fetch(`${url}/orders/1`)
  await response.arrayBuffer()
  const { status } = response
  const expected = isOpen(guard) ? 200 : 401
  if (status !== expected) throw new Error(`${guard} answers ${status} to a request without credentials`)
}

interface Seen {
  readonly runs: LoadResult[]
  readonly floors: number[]
}

/** Several rounds in which all apps take turns. */
async function measure(
  apps: readonly App[],
  load: (command: LoadCommand) => Promise<LoadResult>,
  { rounds, connections, requests }: { rounds: number; connections: number; requests: number },
): Promise<Seen[]> {
  const seen = apps.map((): Seen => ({ runs: [], floors: [] }))
  const warmUp = 2
  for (let round = 0; round < warmUp + rounds; round++) {
    for (const [index, app] of apps.entries()) {
      const run = await load({ command: 'run', url: app.url, connections, requests })
      const floor = await app.floor()
      // The first rounds warm up.
      if (round < warmUp) continue
      seen[index]?.runs.push(run)
      seen[index]?.floors.push(floor)
    }
  }
  return seen
}

const ms = (value: number) => `${fixed(value, 2)} ms`
const middle = (runs: readonly LoadResult[], of: (run: LoadResult) => number) => median(runs.map(of))

export async function httpSection(report: Report): Promise<void> {
  report.heading('Through HTTP')
  report.text(
    'Servers and load generator (autocannon) each in a process of their own, on this machine together; all are sent the ' +
      'same header fields and answer the same body. The bound is 1 / (1 / unprotected + one raw verification), the latter ' +
      'measured under the same load, in a server that verifies one signature a request and checks nothing. The shares of ' +
      'the bound, and of what that server serves, are medians of the rounds. "Busy" is how busy the generator was.',
  )
  const frameworks: readonly Framework[] = ['Express', 'Koa', 'Hono']
  const wanted = [
    ...frameworks.flatMap((framework) => [
      [framework, 'none'] as const,
      [framework, 'one raw verification'] as const,
      [framework, 'ajwt'] as const,
    ]),
    ['Express', 'express-oauth2-jwt-bearer'] as const,
  ]
  await withApps(wanted, async (apps, load) => {
    for (const app of apps) await prove(app)
    const host = watchHost()
    for (const [connections, requests, rounds] of [
      [32, 100, 5],
      [1, 500, 3],
    ] as const) {
      const seen = await measure(apps, load, { rounds, connections, requests })
      const rows = apps.map(({ framework, guard }, index) => {
        const { runs } = seen[index] as Seen
        const of = (other: Guard) =>
          seen[apps.findIndex((app) => app.framework === framework && app.guard === other)] as Seen
        const shares = runs.map(({ perSecond }, round) => {
          const unprotected = (of('none').runs[round] as LoadResult).perSecond
          return perSecond * (1 / unprotected + (of('one raw verification').floors[round] as number) / 1000)
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
        ['', 'requests a second', 'of the bound', 'of one raw verification', 'p50', 'p99', 'p99.9', 'busy'],
        rows,
      )
      report.text(host())
    }
  })
}

/** Where a signature is better verified: on the event loop, or in the thread pool. */
export async function placeSection(report: Report): Promise<void> {
  report.heading('Event loop or thread pool')
  report.text(
    'A bare `node:http` server in front of `verifier.verify`, which is made to verify every signature in the one place ' +
      'or in the other. By itself it verifies on the loop while one request is decided at a time, and in the pool what ' +
      'comes beside another: one that is under way, or one that an adapter was handed in the same turn of the loop.',
  )
  const wanted = [
    ['node:http', 'ajwt, event loop'],
    ['node:http', 'ajwt, thread pool'],
  ] as const
  await withApps(wanted, async (apps, load) => {
    for (const app of apps) await prove(app)
    const rows: string[][] = []
    for (const [connections, requests] of [
      [1, 1000],
      [4, 500],
      [32, 150],
      [128, 40],
    ] as const) {
      const seen = await measure(apps, load, { rounds: 2, connections, requests })
      for (const [index, { guard }] of apps.entries()) {
        const { runs } = seen[index] as Seen
        rows.push([
          `${connections} ${connections === 1 ? 'connection' : 'connections'}, ${guard.slice('ajwt, '.length)}`,
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
