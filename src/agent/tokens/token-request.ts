import { AgentTokenError } from '../errors.js'
import { redact } from '../http/redact.js'
import { describeIntent, type ResolvedIntent } from '../workflow/intent.js'
import { postForm, type TokenEndpoint } from './token-endpoint.js'

export interface AccessToken {
  value: string
  /** Milliseconds since the epoch; absent if the server sent no `expires_in`. */
  expiresAt: number | undefined
}

export interface TokenForm {
  intent: ResolvedIntent
  /** Called for each attempt. */
  body: () => URLSearchParams
  /** A code, a code verifier, a refresh token. */
  secrets?: readonly (string | undefined)[]
  /** Whether a token with more scope than the intent's must not be used. */
  isExact: boolean
}

/**
 * Requests one token.
 *
 * @throws AgentTokenError if the server returns no usable token
 */
export async function requestToken(
  endpoint: TokenEndpoint,
  form: TokenForm,
): Promise<AccessToken & { refreshToken: string | undefined }> {
  const { intent, body, secrets = [] } = form
  const requestedAt = endpoint.now()
  const about = describeRequest(endpoint, intent)
  const server = await endpoint.findServer()
  const response = await postForm(endpoint, {
    server,
    url: server.tokenEndpoint,
    body,
    about,
    secrets: [...secrets, intent.subjectToken],
  })
  if (response.status !== 200)
    throw refused(response, about, [endpoint.agentId, intent.workflow, intent.step])
  const token = usableToken(response.body, form, { requestedAt, about })
  intent.run?.rememberId(response.body.run_id)
  const { refresh_token } = response.body
  return { ...token, refreshToken: typeof refresh_token === 'string' ? refresh_token : undefined }
}

/** The error of a response of the authorization server. `names` are no secrets. */
export function refused(
  { status, body, secrets }: Awaited<ReturnType<typeof postForm>>,
  about: string,
  names: readonly (string | undefined)[],
): AgentTokenError {
  return new AgentTokenError({
    about,
    status,
    error: redact(body.error, secrets) ?? 'invalid_response',
    description: redact(body.error_description, secrets, names),
  })
}

export function describeRequest({ agentId }: TokenEndpoint, intent: ResolvedIntent): string {
  return `for agent ${agentId}, ${describeIntent(intent)}`
}

function usableToken(
  body: Record<string, unknown>,
  { intent, isExact }: TokenForm,
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
  if (isExact && typeof scope === 'string' && !isWithin(scope, intent.scope)) {
    throw unusable('the token has more scope than was requested')
  }
  if (intent.subjectToken !== undefined) checkExchanged(body, intent.subjectToken, unusable)
  const lifetime = typeof expires_in === 'number' && expires_in > 0 ? expires_in * 1000 : undefined
  // Counted from before the request, since the token may have been issued at any time after it.
  return { value: access_token, expiresAt: lifetime && requestedAt + lifetime }
}

function isWithin(scope: string, requested: readonly string[]): boolean {
  return scope.split(' ').every((item) => item === '' || requested.includes(item))
}

/** RFC 8693 section 2.2.1. */
function checkExchanged(
  { access_token, issued_token_type: type }: Record<string, unknown>,
  subjectToken: string,
  unusable: (description: string) => AgentTokenError,
): void {
  if (access_token === subjectToken)
    throw unusable('the authorization server returned the subject_token instead of a new token')
  if (type !== undefined && type !== ACCESS_TOKEN_TYPE && type !== JWT_TYPE)
    throw unusable('the issued token is no access token (issued_token_type)')
}

export const ACCESS_TOKEN_TYPE = 'urn:ietf:params:oauth:token-type:access_token'
const JWT_TYPE = 'urn:ietf:params:oauth:token-type:jwt'

/** Ends two seconds early, for the time in transit. A token without known expiry may have expired. */
export function isLive({ expiresAt }: AccessToken, now: number): boolean {
  return expiresAt !== undefined && now < expiresAt - 2000
}
