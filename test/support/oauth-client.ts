import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import * as oauth from 'oauth4webapi'

// A client for any authorization server, based on oauth4webapi: from registration to a call of an API.

const LOOPBACK = { [oauth.allowInsecureRequests]: true } as const
export const CALLBACK = 'https://client.example.com/callback'

export const newDpopKey = () => oauth.generateKeyPair('ES256')

export type DpopKey = oauth.CryptoKeyPair

export interface RegisteredClient {
  readonly clientId: string
  readonly clientSecret: string
  /** Requests a token with the client credentials grant and these additional parameters. */
  clientCredentials(parameters: Record<string, string>, key?: DpopKey): Promise<oauth.TokenEndpointResponse>
  /** Requests tokens with the authorization code grant. The person consents to everything. */
  authorizationCode(parameters: Record<string, string>, key?: DpopKey): Promise<oauth.TokenEndpointResponse>
}

export interface ClientOptions {
  /** The metadata of the server: OpenID Connect Discovery by default, or RFC 8414. */
  readonly discovery?: 'oidc' | 'oauth2'
  /** A registered client. By default the client registers itself (RFC 7591). */
  readonly known?: { readonly id: string; readonly secret: string }
  /** Authentication of a registered client at the token endpoint. Default `post`. */
  readonly authentication?: 'basic' | 'post'
  /** The grants to register. */
  readonly grants?: readonly string[]
}

export async function createClient(issuer: string, options: ClientOptions = {}): Promise<RegisteredClient> {
  const { discovery: algorithm = 'oidc', known, authentication, grants = ['authorization_code'] } = options
  const url = new URL(issuer)
  const server = await oauth.processDiscoveryResponse(
    url,
    await oauth.discoveryRequest(url, { algorithm, ...LOOPBACK }),
  )
  const client: oauth.Client & { client_secret?: unknown } =
    known === undefined
      ? await register(server, grants)
      : { client_id: known.id, client_secret: known.secret }
  const authenticate = authentication === 'basic' ? oauth.ClientSecretBasic : oauth.ClientSecretPost
  const auth = authenticate(String(client.client_secret))
  const withKey = (key?: DpopKey) => ({ ...LOOPBACK, ...(key && { DPoP: oauth.DPoP(client, key) }) })
  return {
    clientId: client.client_id,
    clientSecret: String(client.client_secret),
    async clientCredentials(parameters, key) {
      const response = await oauth.clientCredentialsGrantRequest(
        server,
        client,
        auth,
        parameters,
        withKey(key),
      )
      return oauth.processClientCredentialsResponse(server, client, response)
    },
    async authorizationCode(parameters, key) {
      const verifier = oauth.generateRandomCodeVerifier()
      const start = new URL(String(server.authorization_endpoint))
      start.search = new URLSearchParams({
        ...parameters,
        client_id: client.client_id,
        response_type: 'code',
        redirect_uri: CALLBACK,
        state: 'a-state-of-the-client',
        code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
        code_challenge_method: 'S256',
      }).toString()
      const answer = oauth.validateAuthResponse(server, client, await browse(start), 'a-state-of-the-client')
      const { resource } = parameters
      const response = await oauth.authorizationCodeGrantRequest(
        server,
        client,
        auth,
        answer,
        CALLBACK,
        verifier,
        {
          ...withKey(key),
          ...(resource !== undefined && { additionalParameters: { resource } }),
        },
      )
      return oauth.processAuthorizationCodeResponse(server, client, response)
    },
  }
}

async function register(server: oauth.AuthorizationServer, grants: readonly string[]) {
  const metadata = {
    grant_types: [...grants],
    response_types: ['code'],
    redirect_uris: [CALLBACK],
    token_endpoint_auth_method: 'client_secret_post',
  }
  return oauth.processDynamicClientRegistrationResponse(
    await oauth.dynamicClientRegistrationRequest(server, metadata, LOOPBACK),
  )
}

/** Follows the redirects of the server like a browser, until they leave its origin. */
export async function browse(start: URL): Promise<URL> {
  const cookies = new Map<string, string>()
  let url = start
  while (url.origin === start.origin) {
    const cookie = [...cookies].map((pair) => pair.join('=')).join('; ')
    // Not fetch, which sends "sec-fetch-mode: cors": a server may respond to a script differently.
    const request = get(url, { headers: { cookie, accept: 'text/html' } })
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    response.resume()
    for (const line of response.headers['set-cookie'] ?? []) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line) ?? []
      if (name !== undefined && value !== undefined) cookies.set(name, value)
    }
    const { location } = response.headers
    if (location === undefined) throw new Error(`${response.statusCode} at ${url} is not a redirect`)
    url = new URL(location, url)
  }
  return url
}

/** Calls an API with a Bearer token, or with a proof by this key. Returns status and body. */
export async function callApi(url: string, token: string, key?: DpopKey, method = 'GET') {
  const options = { ...LOOPBACK, ...(key !== undefined && { DPoP: oauth.DPoP({}, key) }) }
  const response = await oauth
    .protectedResourceRequest(token, method, new URL(url), undefined, null, options)
    .catch((error: unknown) => {
      // oauth4webapi throws if the response has a challenge.
      if (error instanceof oauth.WWWAuthenticateChallengeError) return error.response
      throw error
    })
  return { status: response.status, body: (await response.json()) as Record<string, unknown> }
}
