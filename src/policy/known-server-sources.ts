import type { KnownServerName } from './known-servers.js'

/** The documentation of the tokens of each known server, or the source where that is the documentation. */
export const knownServerSources: Readonly<Record<KnownServerName, string>> = {
  keycloak: 'https://www.keycloak.org/docs/latest/server_admin/index.html',
  auth0: 'https://auth0.com/docs/secure/tokens/access-tokens/access-token-profiles',
  okta: 'https://developer.okta.com/docs/api/openapi/okta-oauth/oauth/tag/CustomAS',
  entra: 'https://learn.microsoft.com/en-us/entra/identity-platform/access-token-claims-reference',
  cognito:
    'https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-the-access-token.html',
  google: 'https://docs.cloud.google.com/run/docs/authenticating/service-to-service',
  pingone:
    'https://developer.pingidentity.com/pingone-api/foundations/authentication-concepts/access-tokens-and-id-tokens/token-claims.html',
  curity: 'https://curity.io/docs/identity-server/profiles/token-profile/token-issuers',
  duende: 'https://docs.duendesoftware.com/identityserver/reference/options/',
  zitadel: 'https://github.com/zitadel/oidc/blob/main/pkg/oidc/token.go',
  authentik: 'https://github.com/goauthentik/authentik/blob/main/authentik/providers/oauth2/id_token.py',
  authelia: 'https://www.authelia.com/integration/openid-connect/introduction/',
  hydra: 'https://github.com/ory/hydra/pull/3531',
  fusionauth: 'https://fusionauth.io/docs/lifecycle/authenticate-users/oauth/tokens',
  workos: 'https://workos.com/docs/authkit/connect/token-claims',
  clerk: 'https://clerk.com/docs/guides/configure/auth-strategies/oauth/verify-oauth-tokens',
  descope: 'https://docs.descope.com/session-overview',
  stytch:
    'https://stytch.com/docs/api-reference/consumer/api/connected-apps/tokens/connected-app-access-token-object',
  supabase: 'https://supabase.com/docs/guides/auth/jwt-fields',
  logto: 'https://github.com/logto-io/logto/blob/master/packages/core/src/oidc/init.ts',
  'better-auth': 'https://github.com/better-auth/better-auth/blob/main/packages/oauth-provider/src/token.ts',
  'cloudflare-access':
    'https://developers.cloudflare.com/cloudflare-one/access-controls/applications/http-apps/authorization-cookie/application-token/',
  kubernetes: 'https://github.com/kubernetes/kubernetes/blob/master/pkg/serviceaccount/claims.go',
  'github-actions': 'https://docs.github.com/en/actions/reference/security/oidc',
  gitlab: 'https://docs.gitlab.com/ci/secrets/id_token_authentication',
  auth51:
    'https://github.com/unforge-io/auth51-console/blob/main/src/app/docs/concepts/intent-tokens/page.tsx',
}
