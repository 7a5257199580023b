import { AjwtDeniedError } from '../errors.js'
import { safeUrl } from '../http/grammar.js'
import type { AgentKey } from '../keys/keys.js'
import { type NonceJar, signProof } from '../keys/proof.js'
import type { FetchLike } from '../tokens/token-request.js'
import type { TokenSource } from '../tokens/token-source.js'
import {
  type AgentIntent,
  type CallContext,
  describeNeed,
  settleIntent,
  type TokenNeed,
} from '../workflow/intent.js'
import { asksForNonce, readDenial } from './denied.js'
import { type OriginCheck, readResource } from './resource.js'

export type AgentRequestInit = RequestInit & { intent: AgentIntent }

export interface CallerParts {
  agentId: string
  key: Promise<AgentKey>
  integrity: () => Promise<string>
  tokens: TokenSource
  nonces: NonceJar
  fetch: FetchLike
  now: () => number
  resource: string | undefined
  checkOrigin: OriginCheck
  allowInsecureHttp: boolean
  /** Milliseconds. */
  timeout: number
}

/** One request to an API, in the context of a run. */
export type Call = (url: string | URL, init: AgentRequestInit, context: CallContext) => Promise<Response>

/** A token refused for one of these is dead, and a fresh one may live. */
const WORN_OUT = ['token_expired', 'token_reused']

export function createCall(parts: CallerParts): Call {
  const { integrity, tokens, nonces, now } = parts

  return async function call(input, init, context) {
    const url = safeUrl(input, 'url', parts.allowInsecureHttp)
    const request = checkedInit(init)
    const need = settleIntent(init.intent, context, parts.resource ?? url.origin, now())
    parts.checkOrigin(need.resource, url)
    // Before every request, not only before a token request: a changed agent has no use of cached tokens.
    const checksum = await integrity()
    const fresh = init.intent.once === true

    const token = await waitFor(() => tokens.get(need, checksum, fresh), request.signal)
    const answer = await present(url, request, token.value, need)
    if (!(answer instanceof AjwtDeniedError)) return answer
    if (answer.error === 'invalid_token') token.drop()
    if (fresh || !WORN_OUT.includes(answer.code) || !isReplayable(request.body)) throw answer

    // No handler ran, and the token was shared with other calls: once more, with one of its own.
    const own = await waitFor(() => tokens.get(need, checksum, true), request.signal)
    const second = await present(url, request, own.value, need)
    if (!(second instanceof AjwtDeniedError)) return second
    throw second
  }

  /** The API's answer, or its denial. A nonce challenge is followed once, with another proof. */
  async function present(url: URL, request: RequestInit, token: string, need: TokenNeed) {
    const sent = [token]
    const method = request.method ?? 'GET'
    const attempt = async (nonce: string | undefined) => {
      const proof = await signProof(await parts.key, { method, url, token, nonce }, now())
      sent.push(proof)
      const headers = new Headers(request.headers)
      headers.set('authorization', `DPoP ${token}`)
      headers.set('dpop', proof)
      return parts.fetch(url.href, { ...request, headers })
    }
    const nonce = nonces.of(url)
    let response = await attempt(nonce)
    const learned = nonces.learn(url, response)
    // Compared with the nonce that this request sent: a parallel request may have learned the new one already.
    const isNew = learned !== undefined && learned !== nonce
    if (isNew && asksForNonce(response) && isReplayable(request.body)) {
      await response.body?.cancel()
      response = await attempt(learned)
      nonces.learn(url, response)
    }
    const denial = await readDenial(response, sent)
    if (!denial) return response
    const about = `for agent ${parts.agentId}, ${describeNeed(need)}`
    if (denial.code !== 'audience_mismatch') return new AjwtDeniedError({ ...denial, about })
    const resource = await readResource(denial.challenge?.resourceMetadata, { ...parts, url })
    return new AjwtDeniedError({ ...denial, about, resource, askedFor: need.resource })
  }
}

/** The caller's init for fetch, without what is ours, and with redirects given back instead of followed. */
function checkedInit(given: AgentRequestInit): RequestInit {
  if (typeof given?.intent !== 'object' || given.intent === null) {
    throw new TypeError(
      "init.intent must be an object that says what the request is for, as in fetch(url, { intent: { scope: 'orders:read' } }): the token is asked for exactly that",
    )
  }
  const { intent: _, ...init } = given
  const headers = new Headers(init.headers)
  if (headers.has('authorization') || headers.has('dpop')) {
    throw new TypeError('init.headers must not hold Authorization or DPoP')
  }
  // fetch itself would carry the proof, and to the same origin the token, to wherever a redirect points.
  if (init.redirect === 'follow') throw new TypeError('init.redirect must not be "follow"')
  // As fetch will send it: the proof names the method on the wire.
  const { method } = new Request('http://localhost', { method: init.method ?? 'GET' })
  return { ...init, method, headers, redirect: init.redirect ?? 'manual' }
}

/** A stream can be sent once: after a challenge its request is the caller's to repeat. */
function isReplayable(body: unknown): boolean {
  return !(
    typeof body === 'object' &&
    body !== null &&
    (body instanceof ReadableStream || Symbol.asyncIterator in body)
  )
}

/** A token request serves several calls, so one call's signal ends its own waiting only. */
async function waitFor<T>(work: () => Promise<T>, signal: AbortSignal | null | undefined): Promise<T> {
  if (!signal) return work()
  signal.throwIfAborted()
  let stop = () => {}
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason)
    signal.addEventListener('abort', stop, { once: true })
  })
  try {
    return await Promise.race([work(), aborted])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}
