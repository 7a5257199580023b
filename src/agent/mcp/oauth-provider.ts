import type { OriginCheck } from '../client/resource.js'
import { AgentTokenError } from '../errors.js'
import type { AgentKey } from '../keys/keys.js'
import { createNonceCache, signProof } from '../keys/proof.js'
import { type AgentIntent, resolveIntent } from '../workflow/intent.js'

/** The intent of a provider's tokens: one scope for all messages, because a host passes it no message. */
export type ProviderIntent = Pick<AgentIntent, 'resource' | 'scope'>

/**
 * The DPoP signer of an MCP client: the public members of `DpopSession` of
 * `@modelcontextprotocol/client`.
 */
export interface DpopSigner {
  readonly thumbprint: string
  readonly alg: string
  readonly publicJwk: object
  nonceFor(url: string | URL): string | undefined
  rememberNonce(url: string | URL, nonce: string): void
  observeNonce(response: Response, url: string | URL): void
  buildProof(request: {
    htm: string
    htu: string | URL
    accessToken?: string
    nonce?: string
  }): Promise<string>
}

/**
 * An `OAuthClientProvider` of the MCP SDK. The client requests the tokens itself, and never with the help of
 * what an MCP server says about its authorization server.
 */
export interface AgentOAuthProvider {
  readonly redirectUrl: undefined
  readonly clientMetadata: { client_name: string; redirect_uris: string[] }
  clientInformation(): { client_id: string }
  tokens(): Promise<{ access_token: string; token_type: string; scope: string }>
  saveTokens(): void
  redirectToAuthorization(): void
  saveCodeVerifier(): void
  codeVerifier(): string
  prepareTokenRequest(scope?: string): never
  dpop(): Promise<DpopSigner>
}

export interface ProviderParts {
  agentId: string
  clientId: string
  key: Promise<AgentKey>
  getToken(intent: ReturnType<typeof resolveIntent>): Promise<{ value: string; drop(): void }>
  checkOrigin: OriginCheck
  resource: string | undefined
  now: () => number
}

/** @throws TypeError if neither the intent nor the client names a resource */
export function createOAuthProvider(parts: ProviderParts, intent: ProviderIntent): AgentOAuthProvider {
  const { agentId, clientId, now } = parts
  const resource = intent.resource ?? parts.resource
  if (resource === undefined)
    throw new TypeError('oauthProvider needs a resource: { resource: the URL of the MCP server, scope }')
  const resolve = () => resolveIntent(intent, {}, resource, now())
  const scope = resolve().scope.join(' ')
  const signer = parts.key.then((key) => createSigner(key, now, (url) => parts.checkOrigin(resource, url)))
  // The first use of the key reports the error.
  signer.catch(() => {})
  let latest: { value: string; drop(): void } | undefined

  const unused = (): never => {
    throw new AgentTokenError({
      about: `for agent ${agentId}`,
      error: 'invalid_request',
      description: UNUSED,
    })
  }
  return {
    redirectUrl: undefined,
    clientMetadata: { client_name: agentId, redirect_uris: [] },
    clientInformation: () => ({ client_id: clientId }),
    async tokens() {
      latest = await parts.getToken(resolve())
      return { access_token: latest.value, token_type: 'DPoP', scope }
    },
    saveTokens: unused,
    redirectToAuthorization: unused,
    saveCodeVerifier: unused,
    codeVerifier: unused,
    prepareTokenRequest(required) {
      // The next call gets a new token.
      latest?.drop()
      throw new AgentTokenError({
        about: `for agent ${agentId}, scope ${scope}, resource ${resource}`,
        error: 'insufficient_scope',
        description: required
          ? `the MCP server refused the token, and says that it requires the scope ${required}`
          : 'the MCP server refused the token',
      })
    },
    dpop: () => signer,
  }
}

const UNUSED = 'the provider requests its tokens itself'

function createSigner(key: AgentKey, now: () => number, checkUrl: (url: URL) => void): DpopSigner {
  const nonces = createNonceCache()
  return Object.freeze<DpopSigner>({
    thumbprint: key.thumbprint,
    alg: key.alg,
    publicJwk: Object.freeze({ ...key.jwk }),
    nonceFor: (url) => nonces.get(new URL(url)),
    rememberNonce(url, nonce) {
      nonces.remember(new URL(url), new Response(null, { headers: { 'dpop-nonce': nonce } }))
    },
    observeNonce: (response, url) => void nonces.remember(new URL(url), response),
    async buildProof({ htm, htu, accessToken, nonce }) {
      const url = new URL(htu)
      // A proof without a token is one for a token endpoint, which an MCP server could have chosen.
      if (accessToken === undefined) throw new TypeError(UNUSED)
      checkUrl(url)
      return signProof(key, { method: htm, url, token: accessToken, nonce: nonce ?? nonces.get(url) }, now())
    },
  })
}
