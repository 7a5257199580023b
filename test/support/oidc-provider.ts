import '../../fixtures/authorization-server/quiet.js'
import { randomBytes } from 'node:crypto'
import type { Express } from 'express'
import { type Configuration, errors, type Provider } from 'oidc-provider'
import type { SigningKey } from '../../fixtures/authorization-server/signing-key.js'

const scopes = 'orders:read orders:refund'
const lifetime = 300

interface ServedApis {
  readonly signingKey: SigningKey
  /** The resource identifiers of the APIs. */
  readonly apis: ReadonlySet<string>
  /** The scopes that every person consents to. */
  readonly consent: { readonly openid: string; readonly api: string }
}

/** The settings of an oidc-provider that issues JWT access tokens for these APIs, with DPoP. */
export function configurationFor({ signingKey, apis, consent }: ServedApis) {
  return {
    jwks: { keys: [signingKey.privateJwk] },
    cookies: { keys: [randomBytes(32).toString('base64url')] },
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    findAccount: (_, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
    async loadExistingGrant(ctx) {
      const { client, session } = ctx.oidc
      const grant = new ctx.oidc.provider.Grant({
        ...(client !== undefined && { clientId: client.clientId }),
        ...(session?.accountId !== undefined && { accountId: session.accountId }),
      })
      grant.addOIDCScope(consent.openid)
      for (const api of apis) grant.addResourceScope(api, consent.api)
      await grant.save()
      return grant
    },
    ttl: {
      AccessToken: lifetime,
      ClientCredentials: lifetime,
      Grant: lifetime,
      IdToken: lifetime,
      Interaction: lifetime,
      Session: lifetime,
      RefreshToken: lifetime,
    },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      dPoP: { enabled: true, nonceSecret: randomBytes(32) },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo(_, identifier) {
          if (!apis.has(identifier)) throw new errors.InvalidTarget('unknown resource')
          return {
            scope: scopes,
            audience: identifier,
            accessTokenTTL: lifetime,
            accessTokenFormat: 'jwt',
            jwt: { sign: { alg: 'ES256', kid: signingKey.kid } },
          }
        },
      },
    },
  } satisfies Configuration
}

/** A login page that signs everybody in as Alice. */
export function signInAsAlice(app: Express, provider: Provider): void {
  app.get('/interaction/:uid', (req, res) =>
    provider.interactionFinished(req, res, { login: { accountId: 'alice' }, consent: {} }),
  )
}
