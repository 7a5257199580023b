/**
 * How the cost of one request grows with the number of hops, routes, issuers, agents, proofs and characters.
 */
import { createHash } from 'node:crypto'
import { createVerifier, memoryReplayStore, type Policy, type Verifier } from '../../src/index.js'
import { benchPolicy } from './contenders.js'
import { plot, type Series } from './plot.js'
import { fixed, type Report } from './report.js'
import { interleave } from './statistics.js'
import { timedRequests } from './timed-requests.js'
import { type BenchAgent, type BenchRequest, createWorkload, type Workload } from './workload.js'

interface Kind {
  readonly verifier: Verifier
  make(): BenchRequest
}

/** Microseconds for each kind of request: medians of rounds that take turns. */
async function timesOf(
  kinds: readonly Kind[],
  { rounds = 30, runs = 30 }: { rounds?: number; runs?: number } = {},
): Promise<number[]> {
  const timed = kinds.map(({ verifier, make }) => timedRequests('a request', verifier, make))
  return (await interleave(timed, { rounds, runs, warmUp: 5 })).map(({ micros }) => micros)
}

function show(
  report: Report,
  { file, title, what }: { file: string; title: string; what: string },
  xs: readonly number[],
  columns: Readonly<Record<string, readonly number[]>>,
): void {
  report.text(`**${title}**`)
  report.table(
    [what, ...Object.keys(columns)],
    xs.map((x, index) => [
      fixed(x, 0),
      ...Object.values(columns).map((times) => {
        const time = times[index] as number
        return Number.isNaN(time) ? '' : `${fixed(time, 0)} µs (${fixed(time / (times[0] as number), 2)})`
      }),
    ]),
  )
  const series = Object.entries(columns).map(
    ([name, times]): Series => ({
      name,
      points: xs.flatMap((x, index) =>
        Number.isNaN(times[index]) ? [] : [[Math.max(x, 1), times[index] as number] as const],
      ),
    }),
  )
  report.picture(file, title, plot({ x: what, y: 'µs a request' }, series))
}

/** A kind of request: with a cached token, or with a new one each time. */
function kind(verifier: Verifier, workload: Workload, agent: BenchAgent, token: () => string, path?: string) {
  return { verifier, make: () => workload.request(agent, token(), path) }
}

function always<T>(value: T): () => T {
  return () => value
}

async function depth(report: Report): Promise<void> {
  const workload = createWorkload()
  const depths = [0, 1, 2, 3, 4, 6, 8]
  const verifier = createVerifier({ ...benchPolicy(workload), delegation: { maxDepth: 8 } })
  const agent = workload.agent()
  const tokenOf = (hops: number) =>
    hops === 0 ? workload.token(agent) : workload.delegatedToken(agent, hops)
  const warm = await timesOf(depths.map((hops) => kind(verifier, workload, agent, always(tokenOf(hops)))))
  const cold = await timesOf(
    depths.map((hops) => kind(verifier, workload, agent, () => tokenOf(hops))),
    { rounds: 8, runs: 10 },
  )
  show(report, { file: 'depth', title: 'Hops in the chain', what: 'hops' }, depths, {
    'known token': warm,
    'new token, new agents on the way': cold,
  })
}

async function routes(report: Report): Promise<void> {
  const workload = createWorkload()
  const agent = workload.agent()
  const token = workload.token(agent)
  const counts = [10, 100, 1000, 10_000]
  const kinds = counts.map((count) => {
    const declared = Object.fromEntries(
      Array.from({ length: count }, (_, index) => [
        `GET /area-${index % 100}/things-${index}/:id/parts/:part`,
        'authenticated',
      ]),
    ) as Policy['routes']
    const verifier = createVerifier({ ...benchPolicy(workload), routes: declared })
    let serial = 0
    const path = () => {
      const index = (serial++ * 7919) % count
      return `/area-${index % 100}/things-${index}/${serial}/parts/${serial}`
    }
    return { verifier, make: () => workload.request(agent, token, path()) }
  })
  show(report, { file: 'routes', title: 'Routes in the policy', what: 'routes' }, counts, {
    'known token, any of the routes': await timesOf(kinds),
  })
}

async function issuers(report: Report): Promise<void> {
  const counts = [1, 10, 100, 1000]
  const all = Array.from({ length: 1000 }, (_, index) => {
    const issuer = `https://as-${index}.example.com`
    return { issuer, workload: createWorkload('ES256', { issuer }) }
  })
  const agent = (all[0] as { workload: Workload }).workload.agent()
  const setUp = (count: number) => {
    const some = all.slice(0, count)
    const verifier = createVerifier({
      ...benchPolicy((all[0] as { workload: Workload }).workload),
      issuer: some.map(({ issuer, workload }) => ({ url: issuer, jwks: workload.jwks as never })),
    })
    let serial = 0
    const next = () => (some[serial++ % count] as { workload: Workload }).workload
    return { verifier, next }
  }
  const cold = await timesOf(
    counts.map(setUp).map(({ verifier, next }) => ({
      verifier,
      make: () => {
        const workload = next()
        return workload.request(agent, workload.token(agent))
      },
    })),
    { rounds: 20, runs: 20 },
  )
  show(report, { file: 'issuers', title: 'Issuers in the policy', what: 'issuers' }, counts, {
    'new token of any of them': cold,
  })
}

async function agents(report: Report): Promise<void> {
  const workload = createWorkload()
  const counts = [1, 100, 10_000, 100_000]
  // The tokens are used again later, so they must still be valid then.
  const known: { agent: BenchAgent; token: string }[] = []
  const own: number[] = []
  const wide: number[] = []
  const byDefault = createVerifier(benchPolicy(workload))
  const widened = createVerifier(benchPolicy(workload), { cache: { tokens: 2 ** 30, proofKeys: 2 ** 30 } })
  for (const count of counts) {
    while (known.length < count) {
      // Many at a time, to use all cores.
      const some = Array.from({ length: Math.min(count - known.length, 64) }, () => {
        const agent = workload.agent()
        return { agent, token: workload.token(agent) }
      })
      known.push(...some)
      const requests = some.map(({ agent, token }) => workload.request(agent, token))
      await Promise.all(requests.map((request) => widened.verify(request)))
      // Beyond the size of the caches it does not matter which agents they contain.
      if (known.length <= 10_000) await Promise.all(requests.map((request) => byDefault.verify(request)))
    }
    const any = (verifier: Verifier) => ({
      verifier,
      make: () => {
        const { agent, token } = known[Math.floor(Math.random() * count)] as (typeof known)[number]
        return workload.request(agent, token)
      },
    })
    const [first, second] = await timesOf([any(byDefault), any(widened)])
    own.push(first as number)
    wide.push(second as number)
  }
  show(
    report,
    { file: 'agents', title: 'Distinct agents, each with a token of its own', what: 'agents' },
    counts,
    {
      'caches as they are by default': own,
      'caches of 1 GiB': wide,
    },
  )
}

async function replays(report: Report): Promise<void> {
  const workload = createWorkload()
  const agent = workload.agent()
  const token = workload.token(agent)
  const counts = [0, 1000, 10_000, 100_000, 1_000_000]
  const digest = (text: string) => createHash('sha256').update(text).digest('base64url')
  const kinds = counts.map((count) => {
    const replayStore = memoryReplayStore({ maxEntries: 2_000_000 })
    const owners = Array.from({ length: 100 }, (_, index) => digest(`agent ${index}`))
    for (let entry = 0; entry < count; entry++) {
      replayStore.remember(`${owners[entry % 100]}.${entry.toString(36).padStart(43, '-')}`, 600)
    }
    const verifier = createVerifier(benchPolicy(workload), { replayStore })
    return kind(verifier, workload, agent, always(token))
  })
  show(report, { file: 'replays', title: 'Proofs remembered', what: 'entries' }, counts, {
    'known token': await timesOf(kinds),
  })
}

async function tokenSize(report: Report): Promise<void> {
  const workload = createWorkload()
  const agent = workload.agent()
  const verifier = createVerifier(benchPolicy(workload))
  const paddings = [0, 1000, 3000, 6000, 11_000]
  const tokenOf = (padding: number) =>
    workload.token(agent, padding === 0 ? {} : { note: 'x'.repeat(padding) })
  const sizes = paddings.map((padding) => tokenOf(padding).length)
  const warm = await timesOf(
    paddings.map((padding) => kind(verifier, workload, agent, always(tokenOf(padding)))),
  )
  const cold = await timesOf(
    paddings.map((padding) => kind(verifier, workload, agent, () => tokenOf(padding))),
    { rounds: 20, runs: 20 },
  )
  show(
    report,
    { file: 'token-size', title: 'Characters of the token, of 16,384 at most', what: 'characters' },
    sizes,
    {
      'known token': warm,
      'new token': cold,
    },
  )
}

export async function growthSection(report: Report): Promise<void> {
  report.heading('How the cost grows')
  report.text('Microseconds for one request, median of rounds. In brackets: the multiple of the first row.')
  for (const part of [depth, routes, issuers, agents, replays, tokenSize]) await part(report)
}
