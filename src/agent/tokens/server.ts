import { AgentTokenError } from '../errors.js'
import { readJson } from '../http/body.js'
import type { FetchLike } from '../http/fetch.js'
import { parseSafeUrl } from '../http/grammar.js'
import { redact } from '../http/redact.js'

/** The endpoints of an authorization server that the client uses. */
export interface AuthorizationServer {
  /** Absent if only the token endpoint was configured. */
  issuer: string | undefined
  tokenEndpoint: URL
  authorizationEndpoint?: URL | undefined
  /** RFC 9126, if the server accepts no other authorization requests. */
  pushEndpoint?: URL | undefined
  /** RFC 9207: each authorization response has `iss`. */
  sendsIssuer: boolean
}

export type FindServer = () => Promise<AuthorizationServer>

interface DiscoveryOptions {
  fetch: FetchLike
  now: () => number
  /** Milliseconds. */
  timeout: number
  allowInsecureHttp: boolean
}

const MAX_METADATA_BYTES = 262144
const METADATA_LIFETIME = 3_600_000

/**
 * Finds the endpoints in the server's metadata: RFC 8414, then OpenID Connect Discovery. Asked again after an
 * hour.
 *
 * @throws TypeError if `issuer` is no issuer identifier
 */
export function discoverServer(issuer: unknown, options: DiscoveryOptions): FindServer {
  const url = parseSafeUrl(issuer, 'issuer', options.allowInsecureHttp)
  if (typeof issuer !== 'string') throw new TypeError('issuer must be a string, as the server writes it')
  if (url.search || url.hash) throw new TypeError('issuer must have no query and no fragment')
  let found: Promise<AuthorizationServer> | undefined
  let until = 0
  return () => {
    const now = options.now()
    if (found !== undefined && now < until) return found
    const asked = readMetadata(issuer, url, options)
    until = now + METADATA_LIFETIME
    found = asked
    asked.catch(() => {
      // The next request asks again.
      if (found === asked) found = undefined
    })
    return asked
  }
}

async function readMetadata(
  issuer: string,
  { origin, pathname }: URL,
  options: DiscoveryOptions,
): Promise<AuthorizationServer> {
  const path = pathname.replace(/\/$/, '')
  let problem = ''
  for (const url of [
    `${origin}/.well-known/oauth-authorization-server${path}`,
    `${origin}${path}/.well-known/openid-configuration`,
  ]) {
    const metadata = await fetchMetadata(url, issuer, options)
    // RFC 8414 section 3.3: another issuer's metadata would lead to that issuer's endpoints (mix-up).
    if (metadata?.issuer === issuer) return serverOf(issuer, metadata, options.allowInsecureHttp)
    if (metadata !== undefined) problem = `${url} is of the issuer ${redact(metadata.issuer, []) ?? '(none)'}`
  }
  throw failure(
    issuer,
    'invalid_response',
    problem || 'its metadata cannot be found (RFC 8414, OpenID Connect)',
  )
}

async function fetchMetadata(url: string, issuer: string, { fetch, timeout }: DiscoveryOptions) {
  try {
    const response = await fetch(url, {
      headers: { accept: 'application/json' },
      redirect: 'manual',
      credentials: 'omit',
      signal: AbortSignal.timeout(timeout),
    })
    if (response.status === 200) return await readJson(response, MAX_METADATA_BYTES)
    await response.body?.cancel()
    return undefined
  } catch {
    throw failure(issuer, 'unreachable', `${url} does not answer`)
  }
}

function serverOf(
  issuer: string,
  metadata: Record<string, unknown>,
  allowInsecureHttp: boolean,
): AuthorizationServer {
  const endpoint = (name: string) => {
    try {
      return metadata[name] === undefined ? undefined : parseSafeUrl(metadata[name], name, allowInsecureHttp)
    } catch (error) {
      throw failure(
        issuer,
        'invalid_response',
        `its metadata: ${error instanceof Error ? error.message : name}`,
      )
    }
  }
  const tokenEndpoint = endpoint('token_endpoint')
  if (tokenEndpoint === undefined)
    throw failure(issuer, 'invalid_response', 'its metadata has no token_endpoint')
  const methods = metadata.code_challenge_methods_supported
  return {
    issuer,
    tokenEndpoint,
    // RFC 9700 section 2.1.1: no authorization code without PKCE.
    authorizationEndpoint:
      Array.isArray(methods) && !methods.includes('S256') ? undefined : endpoint('authorization_endpoint'),
    pushEndpoint:
      metadata.require_pushed_authorization_requests === true
        ? endpoint('pushed_authorization_request_endpoint')
        : undefined,
    sendsIssuer: metadata.authorization_response_iss_parameter_supported === true,
  }
}

function failure(issuer: string, error: string, description: string): AgentTokenError {
  return new AgentTokenError({ about: `at the authorization server ${issuer}`, error, description })
}
