import { createHash } from 'node:crypto'
import { createVerifier, type DecisionFacts, type Verifier } from '../../../src/index.js'
import { createTestIssuer } from '../../../src/testing/index.js'
import { listen } from '../listen.js'
import type { MakeApp } from './apps.js'

const issuer = createTestIssuer()

/** A request to /refunds. */
export interface ContentRequest {
  /** Default POST. */
  readonly method?: string
  /** With the question mark. */
  readonly query?: string
  readonly headers?: Readonly<Record<string, string>>
  /** Sent as it is. Objects are sent as JSON. */
  readonly body?: string | Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array<ArrayBuffer>> | object
  /** Claims of the token. */
  readonly claims?: Readonly<Record<string, unknown>>
}

export interface ContentAnswer {
  readonly status: number
  /** The code of a denial, or what the handler saw. */
  readonly seen: unknown
  /** Of the denial, for the operator. */
  readonly cause: DecisionFacts['cause']
}

export interface ContentApp {
  send(request: ContentRequest): Promise<ContentAnswer>
  close(): void
}

/** A verifier and an app around it, over a socket. */
export async function serve(make: (verifier: Verifier) => ReturnType<MakeApp>): Promise<ContentApp> {
  const causes: DecisionFacts['cause'][] = []
  const verifier = createVerifier(
    {
      issuer: issuer.policyIssuer,
      audience: issuer.audience,
      routes: { '* /refunds': { scope: 'refunds' } },
    },
    { onDecision: (_decision, { cause }) => void causes.push(cause) },
  )
  const { origin, close } = await listen(make(verifier))
  return {
    close,
    async send({ method = 'POST', query = '', headers = {}, body, claims = {} }) {
      const isStream = body instanceof ReadableStream
      const isRaw = typeof body === 'string' || body instanceof Uint8Array || isStream || body === undefined
      const path = `/refunds${query}`
      causes.length = 0
      const response = await fetch(origin + path, {
        method,
        headers: {
          ...(isRaw ? {} : { 'content-type': 'application/json' }),
          ...issuer.headers({ method, url: '/refunds', scope: 'refunds', claims }),
          ...headers,
        },
        ...(isStream ? { duplex: 'half' } : {}),
        ...(body === undefined ? {} : { body: isRaw ? body : JSON.stringify(body) }),
      })
      const text = await response.text()
      const content = text.startsWith('{') ? JSON.parse(text) : text
      const seen = response.ok ? content : (content.code ?? content)
      return { status: response.status, seen, cause: causes.at(-1) }
    },
  }
}

export function digestOf(content: string | Uint8Array, algorithm = 'sha256'): Buffer {
  return createHash(algorithm).update(content).digest()
}

/** The value of `Content-Digest` with SHA-256. */
export function contentDigest(content: string | Uint8Array): string {
  return `sha-256=:${digestOf(content).toString('base64')}:`
}
