import { randomUUID } from 'node:crypto'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { createVerifier, type Policy, PolicyError } from '../../../src/index.js'
import { type Credential, type DeclaredRoute, declare } from './reference.js'

const issuer = 'https://as.example.com'
const audience = 'https://app.example.com'

const { privateKey, publicKey } = await generateKeyPair('EdDSA')
const jwks = { keys: [{ ...(await exportJWK(publicKey)), kid: 'only', alg: 'EdDSA', use: 'sig' }] }

/** A policy that depends only on the scopes of a token. */
export function policyOf(
  routes: readonly DeclaredRoute[],
  settings: Pick<Policy, 'unmatched' | 'preflight'> = {},
): Policy {
  return {
    issuer: { url: issuer, jwks, profile: 'oauth' },
    audience,
    proof: { required: false },
    routes: Object.fromEntries(routes.map(({ key, access }) => [key, access])),
    ...settings,
  }
}

/** Replaces HEAD with PUT if a HEAD key needs less than the GET key, because such a policy is refused. */
export function withoutWeakerHead(routes: readonly DeclaredRoute[]): readonly DeclaredRoute[] {
  return isRefused(routes) ? routes.map(replaceHead) : routes
}

export function isRefused(routes: readonly DeclaredRoute[]): boolean {
  try {
    // Without keys, because importing them takes longer than the rest.
    createVerifier({ ...policyOf(routes), issuer: { url: issuer, profile: 'oauth' } }).close()
    return false
  } catch (error) {
    if (error instanceof PolicyError && error.message.includes('needs less than')) return true
    throw error
  }
}

export function replaceHead({ methods, segments, access, hasTrailingSlash }: DeclaredRoute): DeclaredRoute {
  const others = methods.map((method) => (method === 'HEAD' ? 'PUT' : method))
  return declare(others, segments, access, hasTrailingSlash)
}

const minted = new Map<string, { readonly token: Promise<string>; readonly at: number }>()

/** The `Authorization` header of a credential. */
export async function fieldsOf(credential: Credential): Promise<[name: string, value: string][]> {
  if (credential === 'none') return []
  const scope = [...credential].sort().join(' ')
  let entry = minted.get(scope)
  // Shrinking a failure can take longer than the lifetime of a token.
  if (entry === undefined || Date.now() - entry.at > 120_000) {
    entry = { token: mint(scope), at: Date.now() }
    minted.set(scope, entry)
  }
  return [['authorization', `Bearer ${await entry.token}`]]
}

function mint(scope: string): Promise<string> {
  return new SignJWT({ scope, client_id: 'agent' })
    .setProtectedHeader({ alg: 'EdDSA', typ: 'at+jwt', kid: 'only' })
    .setIssuer(issuer)
    .setAudience(audience)
    .setSubject('agent')
    .setJti(randomUUID())
    .setIssuedAt()
    .setExpirationTime('5 minutes')
    .sign(privateKey)
}
