import { AgentTokenError } from '../errors.js'
import { readJson } from '../http/body.js'
import { redact } from '../http/redact.js'
import type { AgentKey } from '../keys/keys.js'
import { type NonceCache, signProof } from '../keys/proof.js'
import { describeIntent, type ResolvedIntent } from '../workflow/intent.js'
import type { Authenticate } from './client-auth.js'

export interface AccessToken {
  value: string
  /** Milliseconds since the epoch; absent if the server sent no `expires_in`. */
  expiresAt: number | undefined
}

export type FetchLike = (url: string, init: RequestInit) => Promise<Response>

export interface TokenEndpoint {
  url: URL
  agentId: string
  key: Promise<AgentKey>
  authenticate: Authenticate
  nonces: NonceCache
  fetch: FetchLike
  now: () => number
  /** Milliseconds. */
  timeout: number
}

/**
 * Requests one token with the agent_checksum grant, or with RFC 8693 to exchange a received token. Answers
 * one nonce challenge (RFC 9449 section 8).
 *
 * @throws AgentTokenError if the server returns no usable token
 */
export async function requestToken(
  endpoint: TokenEndpoint,
  intent: ResolvedIntent,
  checksum: string,
): Promise<AccessToken> {
  const requestedAt = endpoint.now()
  const nonce = endpoint.nonces.get(endpoint.url)
  let response = await post(endpoint, intent, checksum, nonce)
  // Compare with the nonce of this request: a parallel request may have cached the new one already.
  if (response.body.error === 'use_dpop_nonce' && response.nonce !== undefined && response.nonce !== nonce) {
    response = await post(endpoint, intent, checksum, response.nonce)
  }
  const { status, body, secrets } = response
  const about = describeRequest(endpoint, intent)
  if (status === 200) {
    const token = usableToken(body, intent, { requestedAt, about })
    intent.run?.rememberId(body.run_id)
    return token
  }
  throw new AgentTokenError({
    about,
    status,
    error: redact(body.error, secrets) ?? 'invalid_response',
    description: redact(body.error_description, secrets, [endpoint.agentId, intent.workflow, intent.step]),
  })
}

function describeRequest({ agentId }: TokenEndpoint, intent: ResolvedIntent): string {
  return `for agent ${agentId}, ${describeIntent(intent)}`
}

/** The form fields of a token request. Only `subject_token` is secret. */
export function tokenParameters(agentId: string, intent: ResolvedIntent, checksum: string): URLSearchParams {
  const { subjectToken, chain } = intent
  return new URLSearchParams(
    Object.entries({
      grant_type: subjectToken
        ? 'urn:ietf:params:oauth:grant-type:token-exchange'
        : 'urn:ietf:params:oauth:grant-type:agent_checksum',
      agent_id: agentId,
      agent_checksum: checksum,
      scope: intent.scope.join(' '),
      resource: intent.resource,
      workflow_id: intent.workflow,
      workflow_step: intent.step,
      // Without a step the completed steps have no meaning.
      completed_steps: intent.step && intent.completedSteps,
      intent_hash: intent.hash,
      delegation: chain.map((hop) => hop.assertion).join(' '),
      subject_token: subjectToken,
      subject_token_type: subjectToken && 'urn:ietf:params:oauth:token-type:access_token',
      requested_token_type: subjectToken && 'urn:ietf:params:oauth:token-type:access_token',
    }).filter((entry): entry is [string, string] => Boolean(entry[1])),
  )
}

async function post(
  endpoint: TokenEndpoint,
  intent: ResolvedIntent,
  checksum: string,
  nonce: string | undefined,
) {
  const body = tokenParameters(endpoint.agentId, intent, checksum)
  if (intent.run?.id !== undefined) {
    body.set('run_id', intent.run.id)
    if (intent.run.failedSteps !== '') body.set('failed_steps', intent.run.failedSteps)
  }
  const headers = new Headers({ accept: 'application/json' })
  // Made for each attempt: a proof and a client assertion are valid for one request.
  const credentials = await endpoint.authenticate(headers, body, endpoint.now())
  const proof = await signProof(
    await endpoint.key,
    { method: 'POST', url: endpoint.url, nonce },
    endpoint.now(),
  )
  headers.set('dpop', proof)
  const secrets = [...credentials, proof, ...(intent.subjectToken ? [intent.subjectToken] : [])]
  // Following a redirect would send the client's credentials to its target.
  const init: RequestInit = { method: 'POST', headers, body, redirect: 'manual' }
  const response = await endpoint
    .fetch(endpoint.url.href, { ...init, signal: AbortSignal.timeout(endpoint.timeout) })
    .catch(unreachable(endpoint, intent))
  const newNonce = endpoint.nonces.remember(endpoint.url, response)
  const json = await readJson(response, MAX_RESPONSE_BYTES).catch(unreachable(endpoint, intent))
  return { status: response.status, body: json ?? {}, nonce: newNonce, secrets }
}

const MAX_RESPONSE_BYTES = 65536

/** Sets no `cause`: an error of the caller's fetch may contain the request's headers. */
const unreachable =
  (endpoint: TokenEndpoint, intent: ResolvedIntent) =>
  (cause: unknown): never => {
    const { name, cause: inner }: { name?: unknown; cause?: unknown } = Object(cause)
    const { code }: { code?: unknown } = Object(inner)
    const about = describeRequest(endpoint, intent)
    throw new AgentTokenError({
      about,
      error: 'unreachable',
      description: redact(typeof code === 'string' ? code : name, []),
    })
  }

function usableToken(
  body: Record<string, unknown>,
  intent: ResolvedIntent,
  { requestedAt, about }: { requestedAt: number; about: string },
): AccessToken {
  const unusable = (description: string) =>
    new AgentTokenError({ about, error: 'invalid_response', description, status: 200 })
  const { access_token, token_type, expires_in, scope } = body
  if (typeof access_token !== 'string' || !/^[A-Za-z0-9._~+/-]{1,16384}=*$/.test(access_token)) {
    throw unusable('the access token is missing or malformed')
  }
  // A token of any other type is not bound to the agent's key, so a thief could use it.
  if (typeof token_type !== 'string' || token_type.toLowerCase() !== 'dpop') {
    throw unusable('the token is not bound to a key (token_type DPoP)')
  }
  if (
    typeof scope === 'string' &&
    !scope.split(' ').every((item) => item === '' || intent.scope.includes(item))
  ) {
    throw unusable('the token has more scope than was requested')
  }
  if (access_token === intent.subjectToken)
    throw unusable('the authorization server returned the subject_token instead of a new token')
  const lifetime = typeof expires_in === 'number' && expires_in > 0 ? expires_in * 1000 : undefined
  // Counted from before the request, since the token may have been issued at any time after it.
  return { value: access_token, expiresAt: lifetime && requestedAt + lifetime }
}
