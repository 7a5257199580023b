import { AjwtDeniedError } from '../errors.js'
import type { FetchLike } from '../http/fetch.js'
import { parseSafeUrl } from '../http/grammar.js'
import type { AgentKey } from '../keys/keys.js'
import { type NonceCache, signProof } from '../keys/proof.js'
import type { TokenSource } from '../tokens/token-source.js'
import {
  type AgentIntent,
  type CallContext,
  describeIntent,
  type ResolvedIntent,
  resolveIntent,
} from '../workflow/intent.js'
import { asksForNonce, readDenial } from './denied.js'
import { canMend, readRefusal, widenedScope } from './refusal.js'
import { type OriginCheck, readResource } from './resource.js'

export type AgentRequestInit = RequestInit & { intent: AgentIntent }

export interface CallerParts {
  agentId: string
  key: Promise<AgentKey>
  integrity: () => Promise<string>
  tokens: TokenSource
  nonces: NonceCache
  fetch: FetchLike
  now: () => number
  resource: string | undefined
  checkOrigin: OriginCheck
  /** The scopes that a challenge may add to an intent. */
  stepUp: readonly string[]
  allowInsecureHttp: boolean
  /** Milliseconds. */
  timeout: number
}

/** One request to an API, in the context of a run. */
export type Call = (url: string | URL, init: AgentRequestInit, context: CallContext) => Promise<Response>

export function createCall(parts: CallerParts): Call {
  const { integrity, tokens, nonces, now } = parts

  return async function call(input, init, context) {
    const url = parseSafeUrl(input, 'url', parts.allowInsecureHttp)
    const request = fetchInit(init)
    const resolve = (intent: AgentIntent) =>
      resolveIntent(intent, context, parts.resource ?? url.origin, now())
    let intent = resolve(init.intent)
    parts.checkOrigin(intent.resource, url)
    // Before each request, so that a changed agent cannot use cached tokens either.
    const checksum = await integrity()
    const fresh = init.intent.once === true
    const get = (isFresh: boolean) => waitFor(() => tokens.get(intent, checksum, isFresh), request.signal)

    const token = await get(fresh)
    const result = await sendWithToken(url, request, token.value, intent)
    const refusal = readRefusal(result)
    if (refusal === undefined) return outcome(result)
    if (refusal.error === 'invalid_token') token.drop()
    const scope = widenedScope(refusal, intent.scope, parts.stepUp)
    const isWorthwhile = scope !== undefined || (!fresh && canMend(refusal, token.isNew))
    if (!isWorthwhile || !isReplayable(request.body)) return outcome(result)

    if (!(result instanceof AjwtDeniedError)) await result.body?.cancel()
    if (scope !== undefined) intent = resolve({ ...init.intent, scope })
    // A denied request reached no handler, so it is safe to repeat with a token that no other call uses.
    const other = await get(scope === undefined || fresh)
    return outcome(await sendWithToken(url, request, other.value, intent))
  }

  /** Returns the API's response or its denial. Answers one nonce challenge with a second proof. */
  async function sendWithToken(url: URL, request: RequestInit, token: string, intent: ResolvedIntent) {
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
    const nonce = nonces.get(url)
    let response = await attempt(nonce)
    const newNonce = nonces.remember(url, response)
    // Compare with the nonce of this request: a parallel request may have cached the new one already.
    const isNew = newNonce !== undefined && newNonce !== nonce
    if (isNew && asksForNonce(response) && isReplayable(request.body)) {
      await response.body?.cancel()
      response = await attempt(newNonce)
      nonces.remember(url, response)
    }
    const denial = await readDenial(response, sent)
    if (!denial) return response
    const about = `for agent ${parts.agentId}, ${describeIntent(intent)}`
    if (denial.code !== 'audience_mismatch') return new AjwtDeniedError({ ...denial, about })
    const resource = await readResource(denial.challenge?.resourceMetadata, { ...parts, url })
    return new AjwtDeniedError({ ...denial, about, resource, requestedResource: intent.resource })
  }
}

function outcome(result: Response | AjwtDeniedError): Response {
  if (result instanceof AjwtDeniedError) throw result
  return result
}

/** The init for fetch: without `intent`, and with redirects returned instead of followed. */
function fetchInit(agentInit: AgentRequestInit): RequestInit {
  if (typeof agentInit?.intent !== 'object' || agentInit.intent === null) {
    throw new TypeError(
      'init.intent must be an object that says what the request is for, as in ' +
        "fetch(url, { intent: { scope: 'orders:read' } }): the token is requested for exactly that",
    )
  }
  const { intent: _, ...init } = agentInit
  const headers = new Headers(init.headers)
  if (headers.has('authorization') || headers.has('dpop')) {
    throw new TypeError('init.headers must not contain Authorization or DPoP: the client sets both')
  }
  // fetch would send the proof to the target of a redirect, and within the same origin the token, too.
  if (init.redirect === 'follow') throw new TypeError('init.redirect must not be "follow"')
  // Request normalizes the method as fetch does. The proof must name the method on the wire.
  const { method } = new Request('http://localhost', { method: init.method ?? 'GET' })
  return { ...init, method, headers, redirect: init.redirect ?? 'manual' }
}

/** A stream can be sent only once, so the caller has to repeat such a request. */
function isReplayable(body: unknown): boolean {
  return !(
    typeof body === 'object' &&
    body !== null &&
    (body instanceof ReadableStream || Symbol.asyncIterator in body)
  )
}

/** Several calls share a token request, so the signal of one call must not abort it. */
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
