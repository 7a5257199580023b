import { isObject, own } from '../jose/own.js'
import { isTrustworthyUrl } from '../policy/url.js'
import { fetchJson } from './fetch-json.js'

/**
 * Finds an issuer's `jwks_uri` through its metadata: RFC 8414 first, then OpenID Connect Discovery 1.0. The
 * document's `issuer` has to be the issuer itself (RFC 8414 section 3.3), and its keys have to be at the
 * issuer's own origin: keys elsewhere are named in the policy, by a person. Throws where there is none.
 */
export async function discoverJwksUri(
  issuer: string,
  fetch: typeof globalThis.fetch,
  signal: AbortSignal,
): Promise<string> {
  let failure: unknown
  for (const url of metadataUrls(issuer)) {
    try {
      return readJwksUri(await fetchJson(url, fetch, signal), issuer)
    } catch (error) {
      failure = error
    }
  }
  throw failure
}

function metadataUrls(issuer: string): readonly string[] {
  const { origin, pathname } = new URL(issuer)
  const path = pathname.replace(/\/$/, '')
  return [
    `${origin}/.well-known/oauth-authorization-server${path}`,
    `${origin}${path}/.well-known/openid-configuration`,
  ]
}

function readJwksUri(document: unknown, issuer: string): string {
  if (!isObject(document) || own(document, 'issuer') !== issuer) throw new Error('metadata of another issuer')
  const uri = own(document, 'jwks_uri')
  if (typeof uri !== 'string' || !isTrustworthyUrl(uri, { query: true }))
    throw new Error('no usable jwks_uri')
  if (new URL(uri).origin !== new URL(issuer).origin) throw new Error('jwks_uri at another origin')
  return uri
}
