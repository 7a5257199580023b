import { AgentTokenError } from '../errors.js'
import { readJson } from '../http/body.js'
import { redact } from '../http/redact.js'
import type { AgentKey } from '../keys/keys.js'
import { type NonceJar, signProof } from '../keys/proof.js'
import { describeNeed, type TokenNeed } from '../workflow/intent.js'
import type { Authenticate } from './client-auth.js'

export interface AccessToken {
  value: string
  /** Milliseconds since the epoch; absent where the server did not say how long it lives. */
  expiresAt: number | undefined
}

export type FetchLike = (url: string, init: RequestInit) => Promise<Response>

export interface TokenEndpoint {
  url: URL
  agentId: string
  key: Promise<AgentKey>
  authenticate: Authenticate
  nonces: NonceJar
  fetch: FetchLike
  now: () => number
  /** Milliseconds. */
  timeout: number
}

/**
 * Asks for one token, by the agent_checksum grant, or by RFC 8693 where a received token is exchanged; a
 * nonce challenge (RFC 9449 section 8) is followed once.
 *
 * @throws AgentTokenError where there is no token to be had, or none that may be used
 */
export async function requestToken(
  at: TokenEndpoint,
  need: TokenNeed,
  checksum: string,
): Promise<AccessToken> {
  const askedAt = at.now()
  const nonce = at.nonces.of(at.url)
  let answer = await post(at, need, checksum, nonce)
  // Compared with the nonce that this request sent: a parallel request may have learned the new one already.
  if (answer.body.error === 'use_dpop_nonce' && answer.nonce !== undefined && answer.nonce !== nonce) {
    answer = await post(at, need, checksum, answer.nonce)
  }
  const { status, body, secrets } = answer
  const about = describeRequest(at, need)
  if (status === 200) {
    const token = usableToken(body, need, { askedAt, about })
    need.run?.learn(body.run_id)
    return token
  }
  throw new AgentTokenError({
    about,
    status,
    error: redact(body.error, secrets) ?? 'invalid_response',
    description: redact(body.error_description, secrets, [at.agentId, need.workflow, need.step]),
  })
}

function describeRequest({ agentId }: TokenEndpoint, need: TokenNeed): string {
  return `for agent ${agentId}, ${describeNeed(need)}`
}

/** The form fields of one intent. Nothing in them is secret but an exchanged token. */
export function tokenParameters(agentId: string, need: TokenNeed, checksum: string): URLSearchParams {
  const { subjectToken, chain } = need
  return new URLSearchParams(
    Object.entries({
      grant_type: subjectToken
        ? 'urn:ietf:params:oauth:grant-type:token-exchange'
        : 'urn:ietf:params:oauth:grant-type:agent_checksum',
      agent_id: agentId,
      agent_checksum: checksum,
      scope: need.scope.join(' '),
      resource: need.resource,
      workflow_id: need.workflow,
      workflow_step: need.step,
      // Only with a step does it say anything: which ones came before it.
      completed_steps: need.step && need.completedSteps,
      intent_hash: need.hash,
      delegation: chain.map((hop) => hop.assertion).join(' '),
      subject_token: subjectToken,
      subject_token_type: subjectToken && 'urn:ietf:params:oauth:token-type:access_token',
      requested_token_type: subjectToken && 'urn:ietf:params:oauth:token-type:access_token',
    }).filter((entry): entry is [string, string] => Boolean(entry[1])),
  )
}

async function post(at: TokenEndpoint, need: TokenNeed, checksum: string, nonce: string | undefined) {
  const body = tokenParameters(at.agentId, need, checksum)
  if (need.run?.id !== undefined) {
    body.set('run_id', need.run.id)
    if (need.run.failedSteps !== '') body.set('failed_steps', need.run.failedSteps)
  }
  const headers = new Headers({ accept: 'application/json' })
  // Both anew for a second attempt: a proof and a client assertion are good for one request.
  const credentials = await at.authenticate(headers, body, at.now())
  const proof = await signProof(await at.key, { method: 'POST', url: at.url, nonce }, at.now())
  headers.set('dpop', proof)
  const secrets = [...credentials, proof, ...(need.subjectToken ? [need.subjectToken] : [])]
  // A redirect that was followed would carry the client's credentials to wherever it points.
  const init: RequestInit = { method: 'POST', headers, body, redirect: 'manual' }
  const response = await at
    .fetch(at.url.href, { ...init, signal: AbortSignal.timeout(at.timeout) })
    .catch(unreachable(at, need))
  const learned = at.nonces.learn(at.url, response)
  const answer = await readJson(response, MAX_ANSWER).catch(unreachable(at, need))
  return { status: response.status, body: answer ?? {}, nonce: learned, secrets }
}

const MAX_ANSWER = 65536

/** Without the cause: what a caller's fetch puts into its errors may hold the request's headers. */
const unreachable =
  (at: TokenEndpoint, need: TokenNeed) =>
  (cause: unknown): never => {
    const { name, cause: inner } = cause as { name?: string; cause?: { code?: unknown } }
    const code = typeof inner?.code === 'string' ? inner.code : name
    const about = describeRequest(at, need)
    throw new AgentTokenError({ about, error: 'unreachable', description: redact(code, []) })
  }

function usableToken(
  body: Record<string, unknown>,
  need: TokenNeed,
  { askedAt, about }: { askedAt: number; about: string },
): AccessToken {
  const unusable = (description: string) =>
    new AgentTokenError({ about, error: 'invalid_response', description, status: 200 })
  const { access_token, token_type, expires_in, scope } = body
  if (typeof access_token !== 'string' || !/^[A-Za-z0-9._~+/-]{1,16384}=*$/.test(access_token)) {
    throw unusable('the access token is missing or ill-formed')
  }
  // Any other type is not bound to the agent's key: whoever sees it could use it.
  if (typeof token_type !== 'string' || token_type.toLowerCase() !== 'dpop') {
    throw unusable('the token is not bound to a key (token_type DPoP)')
  }
  if (
    typeof scope === 'string' &&
    !scope.split(' ').every((item) => item === '' || need.scope.includes(item))
  ) {
    throw unusable('the token has scope beyond what was asked for')
  }
  if (access_token === need.subjectToken) throw unusable('the received token came back')
  const life = typeof expires_in === 'number' && expires_in > 0 ? expires_in * 1000 : undefined
  // From before the request: how long the answer took is part of the token's life.
  return { value: access_token, expiresAt: life && askedAt + life }
}
