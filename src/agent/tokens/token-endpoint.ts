import { AgentTokenError } from '../errors.js'
import { readJson } from '../http/body.js'
import type { FetchLike } from '../http/fetch.js'
import { redact } from '../http/redact.js'
import type { AgentKey } from '../keys/keys.js'
import { type NonceCache, signProof } from '../keys/proof.js'
import type { Authenticate } from './client-auth.js'
import type { AuthorizationServer, FindServer } from './server.js'

export interface TokenEndpoint {
  findServer: FindServer
  agentId: string
  clientId: string
  key: Promise<AgentKey>
  authenticate: Authenticate
  nonces: NonceCache
  fetch: FetchLike
  now: () => number
  /** Milliseconds. */
  timeout: number
}

/** A form for the authorization server. */
export interface Form {
  url: URL
  server: AuthorizationServer
  /** Called for each attempt. */
  body: () => URLSearchParams
  /** Values that no error message may contain, apart from the client's credentials. */
  secrets: readonly (string | undefined)[]
  /** Names for error messages. */
  about: string
}

export interface Answer {
  status: number
  body: Record<string, unknown>
  secrets: readonly string[]
}

/**
 * Posts a form with client authentication and a DPoP proof. Answers one nonce challenge (RFC 9449 section 8).
 *
 * @throws AgentTokenError `unreachable`
 */
export async function postForm(endpoint: TokenEndpoint, form: Form): Promise<Answer> {
  const nonce = endpoint.nonces.get(form.url)
  const response = await post(endpoint, form, nonce)
  // Compare with the nonce of this request: a parallel request may have cached the new one already.
  if (response.body.error === 'use_dpop_nonce' && response.nonce !== undefined && response.nonce !== nonce) {
    return post(endpoint, form, response.nonce)
  }
  return response
}

async function post(endpoint: TokenEndpoint, form: Form, nonce: string | undefined) {
  const { url, about } = form
  const body = form.body()
  const headers = new Headers({ accept: 'application/json' })
  // Made for each attempt: a proof and a client assertion are valid for one request.
  const credentials = await endpoint.authenticate({ headers, body, now: endpoint.now(), server: form.server })
  const proof = await signProof(await endpoint.key, { method: 'POST', url, nonce }, endpoint.now())
  headers.set('dpop', proof)
  const secrets = [...credentials, proof, ...form.secrets.filter((value) => value !== undefined)]
  // Following a redirect would send the client's credentials to its target.
  const init: RequestInit = { method: 'POST', headers, body, redirect: 'manual' }
  const response = await endpoint
    .fetch(url.href, { ...init, signal: AbortSignal.timeout(endpoint.timeout) })
    .catch(unreachable(about))
  const newNonce = endpoint.nonces.remember(url, response)
  const json = await readJson(response, MAX_RESPONSE_BYTES).catch(unreachable(about))
  return { status: response.status, body: json ?? {}, nonce: newNonce, secrets }
}

const MAX_RESPONSE_BYTES = 65536

/** Sets no `cause`: an error of the caller's fetch may contain the request's headers. */
const unreachable =
  (about: string) =>
  (cause: unknown): never => {
    const { name, cause: inner }: { name?: unknown; cause?: unknown } = Object(cause)
    const { code }: { code?: unknown } = Object(inner)
    throw new AgentTokenError({
      about,
      error: 'unreachable',
      description: redact(typeof code === 'string' ? code : name, []),
    })
  }
