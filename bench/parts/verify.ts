/** What a request costs, in units of one raw signature verification, and what it costs with others. */
import { constants, createPublicKey, type KeyObject, verify as verifySignature } from 'node:crypto'
import { generateKey, type TestKey } from '../../fixtures/kit.js'
import { createVerifier } from '../../src/index.js'
import { benchPolicy, type Contender, createContenders, prove } from './contenders.js'
import { fixed, type Report, watchHost } from './report.js'
import { interleave, type Timed, type Timing } from './statistics.js'
import {
  type BenchAgent,
  type BenchAlgorithm,
  type BenchRequest,
  createWorkload,
  type Workload,
} from './workload.js'

/** What `crypto.verify` is told besides the key, and the digest it takes. */
const raw: Record<BenchAlgorithm, { digest: string | null; options: object }> = {
  ES256: { digest: 'sha256', options: { dsaEncoding: 'ieee-p1363' } },
  EdDSA: { digest: null, options: {} },
  RS256: { digest: 'sha256', options: { padding: constants.RSA_PKCS1_PADDING } },
}

interface Signed {
  readonly data: Buffer
  readonly signature: Buffer
}

/** What is signed in a request's proof, or in its token, taken apart beforehand. */
function signedOf(request: BenchRequest, part: 'token' | 'proof'): Signed {
  const field = part === 'token' ? request.headers.authorization?.[0]?.slice(5) : request.headers.dpop?.[0]
  const text = field as string
  const dot = text.lastIndexOf('.')
  return { data: Buffer.from(text.slice(0, dot)), signature: Buffer.from(text.slice(dot + 1), 'base64url') }
}

function times<T>(count: number, make: () => T): T[] {
  return Array.from({ length: count }, make)
}

function ratios(workload: Workload, algorithm: BenchAlgorithm): Timed[] {
  const verifier = createVerifier({ ...benchPolicy(workload, algorithm) })
  const { digest, options } = raw[algorithm]
  const keyOf = (key: TestKey) => createPublicKey({ key: key.jwk as never, format: 'jwk' })
  const check = (key: KeyObject, { data, signature }: Signed) => {
    if (!verifySignature(digest, data, { key, ...options }, signature)) throw new Error('floor')
  }
  const known = workload.agent()
  const knownKey = keyOf(known.key)
  const issuerKey = createPublicKey({ key: workload.jwks.keys[0] as never, format: 'jwk' })
  const token = workload.token(known)
  const chained = workload.delegatedToken(known, 3)
  // RSA keys take long to make: there, a new agent is one whose header nobody has seen.
  const rsaKeys = algorithm === 'RS256' ? times(8, () => generateKey('RS256')) : []
  let serial = 0
  const newAgent = (): BenchAgent => {
    const key = rsaKeys[serial++ % Math.max(rsaKeys.length, 1)]
    return workload.agent(key && { ...key, jwk: { ...key.jwk, kid: `key-${serial}` } })
  }

  const decide = (requests: readonly BenchRequest[]) => async () => {
    for (const request of requests) {
      if ((await verifier.verify(request)).outcome !== 'allow') throw new Error('refused')
    }
  }
  return [
    {
      name: 'one `crypto.verify`',
      round(runs) {
        const signed = times(runs, () => signedOf(workload.request(known, token), 'proof'))
        const key = { key: knownKey, ...options }
        return () => {
          for (const { data, signature } of signed) {
            if (!verifySignature(digest, data, key, signature)) throw new Error('floor')
          }
        }
      },
    },
    {
      name: 'warm: known token, known key',
      round: (runs) => decide(times(runs, () => workload.request(known, token))),
    },
    {
      name: 'warm, with a chain of three hops',
      round: (runs) => decide(times(runs, () => workload.request(known, chained))),
    },
    {
      name: 'a token never seen, of a known agent',
      round: (runs) => decide(times(runs, () => workload.request(known, workload.token(known)))),
    },
    {
      name: 'the parts of a new agent with a new token',
      round(runs) {
        const requests = times(runs, () => {
          const agent = newAgent()
          const request = workload.request(agent, workload.token(agent))
          return { jwk: agent.key.jwk, token: signedOf(request, 'token'), proof: signedOf(request, 'proof') }
        })
        return () => {
          for (const { jwk, token, proof } of requests) {
            check(issuerKey, token)
            check(createPublicKey({ key: jwk as never, format: 'jwk' }), proof)
          }
        }
      },
    },
    {
      name: 'a new agent with a new token',
      round: (runs) =>
        decide(
          times(runs, () => {
            const agent = newAgent()
            return workload.request(agent, workload.token(agent))
          }),
        ),
    },
  ]
}

/** Sends `runs` requests, so many at a time. */
function against({ name, prepare, accepts }: Contender, workload: Workload, concurrency: number): Timed {
  const agent = workload.agent()
  const token = workload.token(agent)
  return {
    name,
    round(runs) {
      const prepared = times(runs, () => prepare(workload.request(agent, token)))
      return async () => {
        for (let at = 0; at < runs; at += concurrency) {
          const answers = await Promise.all(prepared.slice(at, at + concurrency).map(accepts))
          if (answers.includes(false)) throw new Error(`${name} refused`)
        }
      }
    },
  }
}

/** The figures that the README quotes. */
export interface VerifyFigures {
  readonly warm: number
  /** How many times as long the fastest peer takes, one at a time and 32 at a time. */
  readonly sequential: readonly Timing[]
  readonly concurrent: readonly Timing[]
}

export async function verifySection(report: Report): Promise<VerifyFigures> {
  report.heading('One request')
  report.text(
    'Medians of rounds that take turns in one process, on fresh proofs. A ratio is the median of the ratios to the raw ' +
      'verification of the same round: of one signature, by a key that is at hand.',
  )
  const figures: Partial<Record<BenchAlgorithm, VerifyFigures>> = {}
  for (const algorithm of ['ES256', 'EdDSA', 'RS256'] as const) {
    const workload = createWorkload(algorithm)
    const host = watchHost()
    const warm = await againstTheFloor(report, workload, algorithm)
    report.text(host())
    figures[algorithm] = { warm, ...(await againstOthers(report, workload, algorithm)) }
    report.text(host())
  }
  return figures.ES256 as VerifyFigures
}

/** Gives the ratio of a warm request to one raw verification. */
export async function againstTheFloor(
  report: Report,
  workload: Workload,
  algorithm: BenchAlgorithm,
): Promise<number> {
  const timings = await interleave(ratios(workload, algorithm), {
    rounds: algorithm === 'ES256' ? 150 : 50,
    runs: 50,
  })
  const [floor, warm, chained, unseen, parts, fresh] = timings as [
    Timing,
    Timing,
    Timing,
    Timing,
    Timing,
    Timing,
  ]
  const row = ({ name, micros, ratio }: Timing, compared = '', target = '') => [
    name,
    `${fixed(micros)} µs`,
    fixed(ratio, 2),
    compared,
    algorithm === 'ES256' ? target : '',
  ]
  report.text(`**${algorithm}**`)
  report.table(
    ['', 'time', 'ratio', 'compared', 'target'],
    [
      row(floor),
      row(warm, `${fixed(warm.ratio, 2)} times one verification`, '1.15'),
      row(chained, `${fixed(chained.ratio, 2)} times one verification`, '1.15'),
      row(unseen, `${fixed(unseen.ratio / 2, 2)} times two verifications`, '1.15'),
      row(parts),
      row(fresh, `${fixed(fresh.ratio / parts.ratio, 2)} times its parts`, '1.20'),
    ],
  )
  return warm.ratio
}

export async function againstOthers(
  report: Report,
  workload: Workload,
  algorithm: BenchAlgorithm,
): Promise<Omit<VerifyFigures, 'warm'>> {
  const { ours, peers, close } = await createContenders(workload, algorithm)
  for (const contender of [ours, ...peers]) await prove(contender, workload)
  const timesOf = async (concurrency: number) =>
    interleave(
      [ours, ...peers].map((contender) => against(contender, workload, concurrency)),
      { rounds: algorithm === 'ES256' ? 25 : 12, runs: 64 },
    )
  const sequential = await timesOf(1)
  const concurrent = await timesOf(32)
  close()
  report.text(
    `${algorithm}, against others: each was seen to let the good request in and to refuse nine bad ones. Ours checks ` +
      'replays, a policy and an intent besides, which none of the others does.',
  )
  report.table(
    ['', 'one at a time', 'ajwt is faster by', '32 at a time', 'ajwt is faster by'],
    sequential.map(({ name, micros, ratio }, index) => {
      const other = concurrent[index] as Timing
      return [
        name,
        `${fixed(micros, 0)} µs`,
        index === 0 ? '' : `${fixed(ratio)} times`,
        `${fixed(other.micros, 0)} µs`,
        index === 0 ? '' : `${fixed(other.ratio)} times`,
      ]
    }),
  )
  return { sequential, concurrent }
}
