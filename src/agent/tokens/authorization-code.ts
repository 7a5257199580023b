import { base64url } from 'jose'
import { AgentTokenError } from '../errors.js'
import { parseAudience, parseScope, parseText } from '../http/grammar.js'
import { redact } from '../http/redact.js'
import { sha256base64url } from '../keys/bytes.js'
import type { ResolvedIntent } from '../workflow/intent.js'
import type { AuthorizationServer } from './server.js'
import { postForm, type TokenEndpoint } from './token-endpoint.js'
import { type AccessToken, describeRequest, isLive, refused, requestToken } from './token-request.js'

/** How a person authorizes the client (RFC 6749 section 4.1, with PKCE). */
export interface AuthorizationOptions {
  /** Registered with the authorization server. */
  redirectUri: string | URL
  /**
   * Opens `request.url` in the person's browser. Resolves to the URL at `redirectUri` that the browser was
   * sent to, with its query. Rejects if the person does not come back.
   */
  authorize(request: AuthorizationRequest): string | URL | Promise<string | URL>
  /**
   * Scopes to ask for besides those of the request, so that the person is asked once: `offline_access` too.
   */
  scope?: string | readonly string[]
  /** Resources to ask for besides that of the request (RFC 8707). */
  resources?: readonly string[]
  /** Further parameters of the authorization request, for example `prompt` or `acr_values`. */
  parameters?: Readonly<Record<string, string>>
  /** Keeps the authorization beyond this process. It is a secret. */
  store?: AuthorizationStore
}

export interface AuthorizationRequest {
  url: URL
  redirectUri: string
  /** To find the person's browser again. The client compares it itself. */
  state: string
}

/** The authorization of a person. A refresh token is bound to the client's key: use `seed` or `keys`. */
export interface SavedAuthorization {
  refreshToken: string
  scope: readonly string[]
  resources: readonly string[]
}

export interface AuthorizationStore {
  load(): SavedAuthorization | undefined | Promise<SavedAuthorization | undefined>
  /** `undefined`: the authorization has ended. */
  save(authorization: SavedAuthorization | undefined): void | Promise<void>
}

interface Session {
  scope: readonly string[]
  resources: readonly string[]
  refreshToken: string | undefined
}

interface CodeGrant {
  request(intent: ResolvedIntent, fresh: boolean): Promise<AccessToken>
  drop(token: string): void
}

const OWN_PARAMETERS = new Set([
  ...['response_type', 'client_id', 'redirect_uri', 'scope', 'state', 'resource', 'code_challenge'],
  ...['code_challenge_method', 'dpop_jkt', 'response_mode', 'request', 'request_uri'],
])

/** @throws TypeError naming the option that is wrong */
export function createCodeGrant(
  endpoint: TokenEndpoint,
  options: AuthorizationOptions | undefined,
  parameters: (intent: ResolvedIntent) => URLSearchParams,
): CodeGrant {
  const redirectUri = String(options?.redirectUri)
  if (options === undefined || typeof options.authorize !== 'function' || !URL.canParse(redirectUri))
    throw new TypeError(
      'the grant authorization_code needs the option authorization: { redirectUri, authorize }, where authorize ' +
        'opens a URL for the person and resolves to the URL that the browser was sent back to',
    )
  const { authorize, store, parameters: more = {} } = options
  const own = Object.keys(more).find((name) => OWN_PARAMETERS.has(name))
  if (own !== undefined)
    throw new TypeError(`authorization.parameters.${own} is set by the client: leave it out`)
  const scope = parseScope(options.scope ?? '', 'authorization.scope')
  const resources = (options.resources ?? []).map((item) => parseAudience(item, 'authorization.resources'))

  let session: Session | undefined
  let isLoaded = store === undefined
  /** Tokens of the authorization code itself, by resource. They have all scopes that were asked for. */
  const wide = new Map<string, AccessToken>()
  let last: Promise<unknown> = Promise.resolve()

  /** One at a time: a person is asked once, and a refresh token that rotates is used once. */
  function exclusive<T>(work: () => Promise<T>): Promise<T> {
    const result = last.then(work)
    last = result.catch(() => {})
    return result
  }

  async function remember(next: Session): Promise<void> {
    session = next
    const { refreshToken } = next
    await store?.save(refreshToken === undefined ? undefined : { ...next, refreshToken })
  }

  async function refresh(intent: ResolvedIntent, { refreshToken, ...rest }: Session): Promise<AccessToken> {
    const body = () => {
      const body = parameters(intent)
      body.set('grant_type', 'refresh_token')
      body.set('refresh_token', refreshToken ?? '')
      return body
    }
    const token = await requestToken(endpoint, { intent, body, secrets: [refreshToken], isExact: false })
    if (token.refreshToken !== undefined && token.refreshToken !== refreshToken)
      await remember({ ...rest, refreshToken: token.refreshToken })
    return token
  }

  /** Undefined if the person has to be asked. */
  async function withoutPerson(intent: ResolvedIntent, fresh: boolean): Promise<AccessToken | undefined> {
    if (!isLoaded) session = savedSession(await store?.load())
    isLoaded = true
    if (session === undefined || !covers(session, intent)) return undefined
    if (session.refreshToken !== undefined) return tryRefresh(intent, session)
    const token = wide.get(intent.resource)
    return !fresh && token !== undefined && isLive(token, endpoint.now()) ? token : undefined
  }

  /** Undefined if the authorization has ended. */
  async function tryRefresh(intent: ResolvedIntent, current: Session): Promise<AccessToken | undefined> {
    try {
      return await refresh(intent, current)
    } catch (error) {
      if (!(error instanceof AgentTokenError && error.error === 'invalid_grant')) throw error
      await remember({ ...current, refreshToken: undefined })
      return undefined
    }
  }

  async function askPerson(intent: ResolvedIntent): Promise<AccessToken> {
    const asked = {
      scope: union(scope, session?.scope, intent.scope),
      resources: union(resources, session?.resources, [intent.resource]),
    }
    const server = await endpoint.findServer()
    const about = describeRequest(endpoint, intent)
    const verifier = randomText()
    const request = new URLSearchParams({
      ...more,
      response_type: 'code',
      client_id: endpoint.clientId,
      redirect_uri: redirectUri,
      state: randomText(),
      code_challenge: await sha256base64url(verifier),
      code_challenge_method: 'S256',
      // RFC 9449 section 10: the code is bound to the key, too.
      dpop_jkt: (await endpoint.key).thumbprint,
    })
    if (asked.scope.length > 0) request.set('scope', asked.scope.join(' '))
    for (const resource of asked.resources) request.append('resource', resource)
    const state = request.get('state') ?? ''
    const url = await authorizationUrl(endpoint, server, request, about)
    const code = readRedirect(await authorize({ url, redirectUri, state }), {
      server,
      redirectUri,
      state,
      about,
    })

    const body = () => {
      const body = parameters(intent)
      body.delete('scope')
      body.set('code', code)
      body.set('code_verifier', verifier)
      body.set('redirect_uri', redirectUri)
      return body
    }
    const token = await requestToken(endpoint, { intent, body, secrets: [code, verifier], isExact: false })
    const next: Session = { ...asked, refreshToken: token.refreshToken }
    await remember(next)
    wide.set(intent.resource, token)
    // With the intent's scope alone, where the server can narrow a token.
    return token.refreshToken !== undefined && asked.scope.length > intent.scope.length
      ? refresh(intent, next)
      : token
  }

  return {
    request: (intent, fresh) =>
      exclusive(async () => (await withoutPerson(intent, fresh)) ?? (await askPerson(intent))),
    drop(value) {
      for (const [resource, token] of wide) if (token.value === value) wide.delete(resource)
    },
  }
}

function covers({ scope, resources }: Session, intent: ResolvedIntent): boolean {
  return intent.scope.every((item) => scope.includes(item)) && resources.includes(intent.resource)
}

function union(...lists: (readonly string[] | undefined)[]): string[] {
  return [...new Set(lists.flatMap((list) => list ?? []))]
}

function randomText(): string {
  return base64url.encode(crypto.getRandomValues(new Uint8Array(32)))
}

function savedSession(saved: SavedAuthorization | undefined): Session | undefined {
  if (saved === undefined) return undefined
  const path = 'authorization.store.load()'
  return {
    refreshToken: parseText(saved.refreshToken, `${path}.refreshToken`),
    scope: parseScope(saved.scope, `${path}.scope`),
    resources: saved.resources.map((item) => parseAudience(item, `${path}.resources`)),
  }
}

/** The URL to open. Pushes the request where the server takes it in no other way (RFC 9126). */
async function authorizationUrl(
  endpoint: TokenEndpoint,
  server: AuthorizationServer,
  request: URLSearchParams,
  about: string,
): Promise<URL> {
  const { authorizationEndpoint, pushEndpoint } = server
  if (authorizationEndpoint === undefined)
    throw new AgentTokenError({
      about,
      error: 'invalid_response',
      description: 'the metadata has no authorization_endpoint with PKCE (S256)',
    })
  const url = new URL(authorizationEndpoint)
  let query = request
  if (pushEndpoint !== undefined) {
    const body = () => new URLSearchParams(request)
    const answer = await postForm(endpoint, { server, url: pushEndpoint, body, secrets: [], about })
    const { request_uri: uri } = answer.body
    if (answer.status !== 201 || typeof uri !== 'string') throw refused(answer, about, [])
    query = new URLSearchParams({ client_id: endpoint.clientId, request_uri: uri })
  }
  for (const [name, value] of query) url.searchParams.append(name, value)
  return url
}

/**
 * Reads the code of a redirect.
 *
 * @throws AgentTokenError if it is not the answer to this request, or if the person refused
 */
function readRedirect(
  redirect: string | URL,
  expected: { server: AuthorizationServer; redirectUri: string; state: string; about: string },
): string {
  const { server, redirectUri, state, about } = expected
  const wrong = (description: string) =>
    new AgentTokenError({ about, error: 'invalid_response', description })
  if (!URL.canParse(String(redirect))) throw wrong('authorize must resolve to the whole URL of the redirect')
  const url = new URL(redirect)
  if (placeOf(url) !== placeOf(new URL(redirectUri))) throw wrong('the redirect is not at the redirectUri')
  const read = (name: string) => {
    const values = url.searchParams.getAll(name)
    if (values.length > 1) throw wrong(`the redirect has more than one ${name}`)
    return values[0]
  }
  // A redirect of somebody else's request would log the agent in as somebody else.
  if (read('state') !== state) throw wrong('the redirect answers another request (state)')
  const iss = read('iss')
  // RFC 9207: the response of another server, mixed up with this one.
  if ((server.sendsIssuer || iss !== undefined) && iss !== server.issuer)
    throw wrong('the redirect is of another authorization server (iss)')
  const error = read('error')
  if (error !== undefined)
    throw new AgentTokenError({
      about,
      error: redact(error, [state]) ?? 'invalid_response',
      description: redact(read('error_description'), [state]),
    })
  const code = read('code')
  if (code === undefined || code === '') throw wrong('the redirect has no code')
  return code
}

function placeOf({ protocol, host, pathname }: URL): string {
  return `${protocol}//${host}${pathname}`
}
