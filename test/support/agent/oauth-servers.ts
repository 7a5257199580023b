import { randomUUID } from 'node:crypto'
import express from 'express'
import { auth, requiredScopes } from 'express-oauth2-jwt-bearer'
import { exportJWK, generateKeyPair, importJWK, jwtVerify } from 'jose'
import { errors, Provider, type TokenEndpointGrantContext } from 'oidc-provider'
import {
  buildTokenResponse,
  checkDpopReplay,
  resolveRequestedResources,
  validateDpop,
} from 'oidc-provider/lib/helpers/grants.js'
import { generateSigningKey } from '../../../fixtures/authorization-server/signing-key.js'
import { ajwt } from '../../../middleware/express.js'
import { listen } from '../listen.js'
import { CALLBACK } from '../oauth-client.js'
import { configurationFor, signInAsAlice } from '../oidc-provider.js'

const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token'

/**
 * oidc-provider as it is published, where DPoP nonces are required and everybody is Alice, with two APIs: one
 * with ajwt, one with express-oauth2-jwt-bearer.
 */
export async function startOAuthServers() {
  const apps = { as: express(), api: express(), other: express() }
  const { origin: issuer, close: closeServer } = await listen(apps.as)
  const { origin: api, close: closeApi } = await listen(apps.api)
  const { origin: other, close: closeOther } = await listen(apps.other)

  /** Known to the authorization server. */
  const resources = new Set([api, other])
  const signingKey = await generateSigningKey('as-1')
  const assertionKeys = await generateKeyPair('ES256')
  const secrets = { client_secret: 'a secret, of the client', redirect_uris: [CALLBACK] }
  const refreshing = ['authorization_code', 'refresh_token']

  const configuration = configurationFor({
    signingKey,
    apis: resources,
    consent: { openid: 'openid offline_access', api: 'orders:read orders:refund' },
  })
  const provider = new Provider(issuer, {
    ...configuration,
    clients: [
      { ...secrets, client_id: 'basic', grant_types: ['client_credentials'], response_types: [] },
      {
        ...secrets,
        client_id: 'post',
        grant_types: ['client_credentials'],
        response_types: [],
        token_endpoint_auth_method: 'client_secret_post',
      },
      { ...secrets, client_id: 'exchanger', grant_types: [TOKEN_EXCHANGE], response_types: [] },
      {
        client_id: 'assertion',
        redirect_uris: [CALLBACK],
        grant_types: ['client_credentials'],
        response_types: [],
        token_endpoint_auth_method: 'private_key_jwt',
        token_endpoint_auth_signing_alg: 'ES256',
        jwks: { keys: [{ ...(await exportJWK(assertionKeys.publicKey)), kid: 'k1' }] },
      },
      {
        client_id: 'native',
        application_type: 'native',
        redirect_uris: ['http://localhost:8976/callback'],
        token_endpoint_auth_method: 'none',
      },
      {
        client_id: 'public',
        redirect_uris: [CALLBACK],
        grant_types: refreshing,
        token_endpoint_auth_method: 'none',
      },
      {
        ...secrets,
        client_id: 'pushing',
        grant_types: refreshing,
        require_pushed_authorization_requests: true,
      },
    ],
    issueRefreshToken: async (_, client, code) =>
      client.grantTypeAllowed('refresh_token') && code.scopes.has('offline_access'),
    rotateRefreshToken: true,
    features: {
      ...configuration.features,
      pushedAuthorizationRequests: { enabled: true },
      dPoP: { ...configuration.features.dPoP, requireNonce: () => true },
    },
  })
  signInAsAlice(apps.as, provider)
  const parameters = ['subject_token', 'subject_token_type', 'scope', 'resource'] as const
  const publicKey = await importJWK(signingKey.publicJwk, 'ES256')

  /** RFC 8693, as a deployment of oidc-provider adds it: the subject stays, and no scope is gained. */
  async function exchange(ctx: TokenEndpointGrantContext<Record<string, string | undefined>>): Promise<void> {
    const { client, params } = ctx.oidc
    if (params.subject_token_type !== ACCESS_TOKEN) throw new errors.InvalidRequest('subject_token_type')
    const proof = await validateDpop(provider, ctx)
    if (proof === undefined) throw new errors.InvalidDpopProof('DPoP proof JWT not provided')
    await checkDpopReplay(provider, ctx, proof, client.clientId)
    const [resource] = await resolveRequestedResources(provider, ctx)
    const { payload } = await jwtVerify(params.subject_token ?? '', publicKey, { issuer }).catch(() => {
      throw new errors.InvalidGrant('subject_token')
    })
    const granted = String(payload.scope).split(' ')
    if (params.scope?.split(' ').some((scope) => !granted.includes(scope)))
      throw new errors.InvalidScope('more than the subject token has', params.scope)
    const token = new provider.AccessToken({
      client,
      accountId: String(payload.sub),
      grantId: randomUUID(),
      gty: 'token-exchange',
      scope: params.scope ?? '',
    })
    if (resource !== undefined) token.resourceServer = resource
    token.setThumbprint('jkt', proof.thumbprint)
    ctx.oidc.entity('AccessToken', token)
    ctx.body = buildTokenResponse(provider, {
      accessToken: await token.save(),
      expiresIn: token.expiration,
      scope: token.scope,
      tokenType: token.tokenType,
      issuedTokenType: ACCESS_TOKEN,
    })
  }
  provider.registerGrantType(TOKEN_EXCHANGE, exchange, [...parameters], ['resource'])

  /** An access token of Alice, as another client of the same server got it. */
  async function userToken(scope: string): Promise<string> {
    const client = await provider.Client.find('basic')
    if (client === undefined) throw new Error('no client')
    const token = new provider.AccessToken({
      client,
      accountId: 'alice',
      grantId: randomUUID(),
      gty: 'authorization_code',
      scope,
    })
    token.resourceServer = new provider.ResourceServer(other, {
      scope,
      audience: other,
      accessTokenFormat: 'jwt',
      jwt: { sign: { alg: 'ES256', kid: signingKey.kid } },
    })
    return token.save()
  }

  const tokenRequests: string[] = []
  provider.on('grant.success', (ctx) => tokenRequests.push(String(ctx.oidc.params?.grant_type)))
  apps.as.use(provider.callback())

  apps.api.use(
    ajwt({
      issuer: { url: issuer, profile: 'oauth' },
      audience: api,
      proof: { nonce: 'required' },
      routes: {
        'GET /orders/:id': { scope: 'orders:read' },
        'POST /orders/:id/refund': { scope: 'orders:refund' },
      },
    }),
  )
  apps.api.use((req, res) => void res.json({ subject: req.ajwt?.subject, scopes: req.ajwt?.scopes }))

  // A resource server without this library.
  apps.other.use(
    auth({
      issuerBaseURL: issuer,
      audience: other,
      dpop: { enabled: true, required: true },
      tokenSigningAlg: 'ES256',
    }),
  )
  apps.other.get('/orders/:id', requiredScopes('orders:read'), (req, res) =>
    res.json({ subject: req.auth?.payload.sub }),
  )
  apps.other.post('/orders/:id/refund', requiredScopes('orders:refund'), (req, res) =>
    res.json({ scope: req.auth?.payload.scope }),
  )
  apps.other.use(((error, _req, res, _next) => {
    res
      .status(error.status ?? 500)
      .set(error.headers ?? {})
      .json({ message: error.message })
  }) satisfies express.ErrorRequestHandler)

  const close = () => {
    closeServer()
    closeApi()
    closeOther()
  }
  const secret = secrets.client_secret
  return { issuer, api, other, resources, secret, assertionKeys, userToken, tokenRequests, close }
}
