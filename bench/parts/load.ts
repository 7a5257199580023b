/** The load generator, in a separate process. It makes agents, tokens and proofs, and sends the requests. */
// @ts-expect-error: autocannon has no types
import autocannon from 'autocannon'
import { quantile } from './statistics.js'
import { type BenchAgent, createWorkload, type Workload } from './workload.js'

export type LoadCommand =
  | { readonly command: 'prepare'; readonly url: string }
  | {
      readonly command: 'run'
      readonly url: string
      readonly connections: number
      /** Requests per connection. */
      readonly requests: number
    }

export interface LoadResult {
  readonly perSecond: number
  /** Milliseconds. */
  readonly p50: number
  readonly p99: number
  readonly p999: number
  /** Event-loop utilization of this process. Near 1 the generator limits the figures. */
  readonly generatorBusy: number
}

interface Client {
  setRequests(requests: readonly object[]): void
  on(event: 'response', listener: (status: number, bytes: number, milliseconds: number) => void): void
}

const prepared = new Map<string, { workload: Workload; agent: BenchAgent; token: string }>()

function prepare(url: string): object {
  const workload = createWorkload('ES256', { url })
  const agent = workload.agent()
  prepared.set(url, { workload, agent, token: workload.token(agent) })
  return { jwks: workload.jwks }
}

async function run(settings: Extract<LoadCommand, { command: 'run' }>): Promise<LoadResult> {
  const { url, connections, requests } = settings
  const known = prepared.get(url)
  if (known === undefined) throw new Error(`no \`prepare\` command for ${url}`)
  const { workload, agent } = known
  const token = workload.token(agent)
  const fields = () => {
    const { authorization, dpop } = workload.request(agent, token).headers
    return { authorization, dpop }
  }
  const lists = Array.from({ length: connections }, () =>
    Array.from({ length: requests }, () => ({ method: 'GET', path: '/orders/1', headers: fields() })),
  )
  const times: number[] = []
  let next = 0
  let refused = 0
  const loop = performance.eventLoopUtilization()
  let began = 0
  let ended = 0
  await autocannon({
    url,
    connections,
    amount: connections * requests,
    // A run ends at the end of an interval of so many milliseconds, by default of 1000.
    sampleInt: 100,
    setupClient(client: unknown) {
      const each = client as Client
      began ||= performance.now()
      each.setRequests(lists[next++] as object[])
      each.on('response', (status, _, milliseconds) => {
        times.push(milliseconds)
        // autocannon reports only at the end of an interval.
        ended = performance.now()
        if (status !== 200) refused++
      })
    },
  })
  const seconds = (ended - began) / 1000
  if (refused > 0 || times.length !== connections * requests) {
    throw new Error(
      `${refused} of ${times.length} responses are not 200, ${connections * requests} requests sent`,
    )
  }
  return {
    perSecond: times.length / seconds,
    p50: quantile(times, 0.5),
    p99: quantile(times, 0.99),
    p999: quantile(times, 0.999),
    generatorBusy: performance.eventLoopUtilization(loop).utilization,
  }
}

process.on('message', async (command: LoadCommand) => {
  try {
    process.send?.(command.command === 'prepare' ? prepare(command.url) : await run(command))
  } catch (error) {
    process.send?.({ error: String(error) })
  }
})
process.on('disconnect', () => process.exit())
