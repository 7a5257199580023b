import { randomUUID } from 'node:crypto'
import type { OAuthAuthorizationServerInformation } from '@ai-sdk/mcp'
import { DpopSession, type OAuthDiscoveryState } from '@modelcontextprotocol/client'
import type { ConnectOptions } from '../support/mcp/contract.js'

const REDIRECT_URI = 'http://127.0.0.1:1/callback'

interface ClientInformation {
  client_id: string
  client_secret?: string
}

interface Tokens {
  access_token: string
  token_type: string
  refresh_token?: string
  scope?: string
  expires_in?: number
}

/** An OAuthClientProvider for every client library, in memory, as an application would write it. */
export function createProvider({ authorize, dpop = false, clientMetadataUrl }: ConnectOptions) {
  const session = dpop ? DpopSession.create() : undefined
  const requestedScopes: string[] = []
  let pending: URL | undefined
  const saved: {
    client?: ClientInformation
    tokens?: Tokens
    verifier?: string
    state?: string
    discovery?: OAuthDiscoveryState
    server?: OAuthAuthorizationServerInformation
  } = {}

  const provider = {
    redirectUrl: REDIRECT_URI,
    ...(clientMetadataUrl !== undefined && { clientMetadataUrl }),
    clientMetadata: {
      client_name: 'tests',
      redirect_uris: [REDIRECT_URI],
      // No refresh tokens: a client that has one refreshes on a 403, which widens no scope.
      grant_types: ['authorization_code'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    },
    clientInformation: () => saved.client,
    saveClientInformation(client: ClientInformation) {
      saved.client = client
    },
    tokens: () => saved.tokens,
    saveTokens(tokens: Tokens) {
      saved.tokens = tokens
    },
    redirectToAuthorization(url: URL) {
      pending = url
      requestedScopes.push(url.searchParams.get('scope') ?? '')
    },
    saveCodeVerifier(verifier: string) {
      saved.verifier = verifier
    },
    codeVerifier: () => saved.verifier ?? '',
    state: () => randomUUID(),
    saveState(state: string) {
      saved.state = state
    },
    storedState: () => saved.state,
    saveDiscoveryState(discovery: OAuthDiscoveryState) {
      saved.discovery = discovery
    },
    discoveryState: () => saved.discovery,
    saveAuthorizationServerInformation(server: OAuthAuthorizationServerInformation) {
      saved.server = server
    },
    authorizationServerInformation: () => saved.server,
    ...(session !== undefined && { dpop: () => session }),
  }

  return {
    provider,
    requestedScopes,
    get clientId() {
      return saved.client?.client_id ?? ''
    },
    get token() {
      return saved.tokens?.access_token ?? ''
    },
    /** Has the person log in where the library asked for it. */
    async answerRedirect(): Promise<URLSearchParams> {
      if (pending === undefined) throw new Error('the client has asked for no authorization')
      const url = pending
      pending = undefined
      return authorize(url)
    },
    get isRedirecting() {
      return pending !== undefined
    },
  }
}

export type Account = ReturnType<typeof createProvider>
