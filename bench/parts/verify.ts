/** The cost of one request, relative to one raw signature verification, and compared with other libraries. */
import {
  constants,
  createPublicKey,
  type KeyObject,
  type VerifyKeyObjectInput,
  verify as verifySignature,
} from 'node:crypto'
import { generateKey, type TestKey } from '../../fixtures/kit.js'
import { createVerifier } from '../../src/index.js'
import { toDer } from '../../src/jws/ecdsa-der.js'
import { toFasterPem } from '../../src/jws/spki.js'
import { assertCorrect, benchPolicy, type Contender, createContenders } from './contenders.js'
import { fixed, type Report, watchHost } from './report.js'
import { interleave, type Timed, type Timing } from './statistics.js'
import { timedRequests } from './timed-requests.js'
import {
  type BenchAgent,
  type BenchAlgorithm,
  type BenchRequest,
  createWorkload,
  type Workload,
} from './workload.js'

/** The digest that `crypto.verify` needs. */
const digests: Record<BenchAlgorithm, string | null> = {
  ES256: 'sha256',
  EdDSA: null,
  RS256: 'sha256',
  PS256: 'sha256',
}

const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }

/** Imports a public JWK in the form that is fastest in this release of Node. */
function importFastest(jwk: TestKey['jwk']): KeyObject {
  return createPublicKey(toFasterPem(jwk as Record<string, string>) ?? { key: jwk as never, format: 'jwk' })
}

interface Signed {
  readonly data: Buffer
  readonly signature: Buffer
}

/**
 * The signing input and the signature of a request's proof or token, as `crypto.verify` is fastest with: a
 * bare key and, for ECDSA, DER.
 */
function signedOf(request: BenchRequest, part: 'token' | 'proof', algorithm: BenchAlgorithm): Signed {
  const field = part === 'token' ? request.headers.authorization?.slice(5) : request.headers.dpop
  const text = field as string
  const dot = text.lastIndexOf('.')
  const signature = Buffer.from(text.slice(dot + 1), 'base64url')
  const data = Buffer.from(text.slice(0, dot))
  return { data, signature: algorithm === 'ES256' ? toDer(signature) : signature }
}

function times<T>(count: number, make: () => T): T[] {
  return Array.from({ length: count }, make)
}

function ratios(workload: Workload, algorithm: BenchAlgorithm): Timed[] {
  const verifier = createVerifier({ ...benchPolicy(workload, algorithm) })
  const digest = digests[algorithm]
  // Only PSS needs an object with options, which costs more on Node 24.
  const inputOf = (key: KeyObject): KeyObject | VerifyKeyObjectInput =>
    algorithm === 'PS256' ? { key, ...pss } : key
  const check = (key: KeyObject | VerifyKeyObjectInput, { data, signature }: Signed) => {
    if (!verifySignature(digest, data, key, signature)) throw new Error('the raw verification failed')
  }
  const known = workload.agent()
  const knownKey = inputOf(importFastest(known.key.jwk))
  const issuerKey = inputOf(createPublicKey({ key: workload.jwks.keys[0] as never, format: 'jwk' }))
  const token = workload.token(known)
  const chained = workload.delegatedToken(known, 3)
  // RSA keys are slow to generate, so a new agent has only a new header.
  const isRsa = algorithm === 'RS256' || algorithm === 'PS256'
  const rsaKeys = isRsa ? times(8, () => generateKey(algorithm)) : []
  let serial = 0
  const newAgent = (): BenchAgent => {
    const key = rsaKeys[serial++ % Math.max(rsaKeys.length, 1)]
    return workload.agent(key && { ...key, jwk: { ...key.jwk, kid: `key-${serial}` } })
  }

  return [
    {
      name: 'one `crypto.verify`',
      round(runs) {
        const signed = times(runs, () => signedOf(workload.request(known, token), 'proof', algorithm))
        return () => {
          for (const each of signed) check(knownKey, each)
        }
      },
    },
    timedRequests('warm: known token, known key', verifier, () => workload.request(known, token)),
    timedRequests('warm, with a chain of three hops', verifier, () => workload.request(known, chained)),
    timedRequests('a token never seen, of a known agent', verifier, () =>
      workload.request(known, workload.token(known)),
    ),
    {
      name: 'the parts of a new agent with a new token',
      round(runs) {
        const requests = times(runs, () => {
          const agent = newAgent()
          const request = workload.request(agent, workload.token(agent))
          return {
            jwk: agent.key.jwk,
            token: signedOf(request, 'token', algorithm),
            proof: signedOf(request, 'proof', algorithm),
          }
        })
        return () => {
          for (const { jwk, token, proof } of requests) {
            check(issuerKey, token)
            check(inputOf(importFastest(jwk)), proof)
          }
        }
      },
    },
    timedRequests('a new agent with a new token', verifier, () => {
      const agent = newAgent()
      return workload.request(agent, workload.token(agent))
    }),
  ]
}

/** Sends `runs` requests, `concurrency` at a time. */
function timeContender(
  { name, prepare, accepts }: Contender,
  workload: Workload,
  concurrency: number,
): Timed {
  const agent = workload.agent()
  const token = workload.token(agent)
  return {
    name,
    round(runs) {
      const prepared = times(runs, () => prepare(workload.request(agent, token)))
      return async () => {
        for (let at = 0; at < runs; at += concurrency) {
          const answers = await Promise.all(prepared.slice(at, at + concurrency).map(accepts))
          if (answers.includes(false)) throw new Error(`${name} denied a valid request`)
        }
      }
    },
  }
}

export async function verifySection(report: Report): Promise<void> {
  report.heading('One request')
  report.text(
    'Rounds that take turns in one process, with new proofs: the median of their times, and the least. A ' +
      'ratio is the median of the ratios to one `crypto.verify` in the same round: one signature, with an ' +
      'imported key. The overhead is the difference of the least times from the signatures that a request ' +
      'needs: one, or two for a new token. In brackets: the ratio to them.',
  )
  for (const algorithm of ['ES256', 'EdDSA', 'RS256', 'PS256'] as const) {
    const workload = createWorkload(algorithm)
    const host = watchHost()
    await compareWithRawVerification(report, workload, algorithm)
    report.text(host())
    await compareWithOthers(report, workload, algorithm)
    report.text(host())
  }
}

/** Times of a request and of its signatures alone, in the order of the table. */
export function verifyTimings(
  workload: Workload,
  algorithm: BenchAlgorithm,
  rounds: number,
): Promise<Timing[]> {
  return interleave(ratios(workload, algorithm), { rounds, runs: 50 })
}

async function compareWithRawVerification(
  report: Report,
  workload: Workload,
  algorithm: BenchAlgorithm,
): Promise<void> {
  const timings = await verifyTimings(workload, algorithm, algorithm === 'ES256' ? 150 : 50)
  const [rawVerification, warm, chained, unseen, parts, fresh] = timings as [
    Timing,
    Timing,
    Timing,
    Timing,
    Timing,
    Timing,
  ]
  const row = ({ name, micros, least, ratio }: Timing, floor = least, compared = '', target = '') => [
    name,
    `${fixed(micros)} µs`,
    `${fixed(least)} µs`,
    floor === least ? '' : `${fixed(least - floor)} µs (${fixed(least / floor, 2)})`,
    fixed(ratio, 2),
    compared,
    algorithm === 'ES256' ? target : '',
  ]
  const one = rawVerification.least
  report.text(`**${algorithm}**`)
  report.table(
    ['', 'time', 'least', 'overhead', 'ratio', 'compared', 'target'],
    [
      row(rawVerification),
      row(warm, one, `${fixed(warm.ratio, 2)} times one verification`, '1.15'),
      row(chained, one, `${fixed(chained.ratio, 2)} times one verification`, '1.15'),
      row(unseen, 2 * one, `${fixed(unseen.ratio / 2, 2)} times two verifications`, '1.15'),
      row(parts),
      row(fresh, parts.least, `${fixed(fresh.ratio / parts.ratio, 2)} times its parts`, '1.20'),
    ],
  )
}

async function compareWithOthers(
  report: Report,
  workload: Workload,
  algorithm: BenchAlgorithm,
): Promise<void> {
  const { ajwt, others, close } = await createContenders(workload, algorithm)
  for (const contender of [ajwt, ...others]) await assertCorrect(contender, workload)
  const timesOf = async (concurrency: number) =>
    interleave(
      [ajwt, ...others].map((contender) => timeContender(contender, workload, concurrency)),
      { rounds: algorithm === 'ES256' ? 25 : 12, runs: 64 },
    )
  const sequential = await timesOf(1)
  const concurrent = await timesOf(32)
  close()
  report.text(
    `${algorithm}, compared with others: each of them allowed a valid request and denied nine invalid ` +
      'ones. ajwt also checks replays, a policy and an intent, which none of the others does.',
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
}
