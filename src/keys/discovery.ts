import { isObject } from '../lib/objects.js'
import { printable } from '../lib/sanitize.js'
import { isSecureUrl, isUnambiguousUrl } from '../lib/url.js'
import { FetchError, shown } from './fetch-json.js'

/** Fetches a JSON document, or rejects with a FetchError. */
export type GetJson = (url: string) => Promise<unknown>

/**
 * Finds the `jwks_uri` of an issuer through its metadata: RFC 8414 first, then OpenID Connect Discovery 1.0.
 * The second document is also fetched if the first has not arrived within `headStartSeconds`. The first
 * usable one counts. Its `issuer` must be the issuer itself (RFC 8414 section 3.3). Rejects with a
 * FetchError.
 */
export async function discoverJwksUri(
  issuer: string,
  getJson: GetJson,
  headStartSeconds: number,
  allowInsecureHttp: boolean | readonly string[],
): Promise<string> {
  const [oauth, openId] = metadataUrls(issuer)
  const read = async (url: string) => readJwksUri(await getJson(url), url, issuer, allowInsecureHttp)
  const first = read(oauth)
  const second = settledWithin(first, headStartSeconds).then((isFound) => (isFound ? first : read(openId)))
  try {
    return await Promise.any([first, second])
  } catch (error) {
    const errors: readonly unknown[] = error instanceof AggregateError ? error.errors : [error]
    const reasons = errors.map((reason) => (reason instanceof Error ? reason.message : String(reason)))
    throw new FetchError(reasons.join('; '))
  }
}

/** Whether the promise is fulfilled within this time. False as soon as it rejects. */
function settledWithin(promise: Promise<unknown>, seconds: number): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(false), seconds * 1000)
    timer.unref?.()
    const end = (isFound: boolean) => {
      clearTimeout(timer)
      resolve(isFound)
    }
    promise.then(
      () => end(true),
      () => end(false),
    )
  })
}

function metadataUrls(issuer: string): readonly [oauth: string, openId: string] {
  const { origin, pathname } = new URL(issuer)
  const path = pathname.replace(/\/$/, '')
  return [
    `${origin}/.well-known/oauth-authorization-server${path}`,
    `${origin}${path}/.well-known/openid-configuration`,
  ]
}

function readJwksUri(
  document: unknown,
  url: string,
  issuer: string,
  allowInsecureHttp: boolean | readonly string[],
): string {
  const named = isObject(document) ? document.issuer : undefined
  if (!isObject(document) || named !== issuer) {
    const found = typeof named === 'string' ? `of issuer "${printable(named)}"` : 'without an issuer'
    throw new FetchError(`${shown(url)} is metadata ${found}, not of "${issuer}"`)
  }
  const uri = document.jwks_uri
  if (typeof uri !== 'string') throw new FetchError(`${shown(url)} names no jwks_uri`)
  const isUsable = isUnambiguousUrl(uri, { query: true }) && isSecureUrl(uri, allowInsecureHttp)
  if (!isUsable || isLessSecure(uri, issuer)) {
    throw new FetchError(`${shown(url)} names a jwks_uri that is no https URL`)
  }
  return uri
}

/** Plain http is for a setup on loopback: an https issuer must publish its keys by https. */
function isLessSecure(uri: string, issuer: string): boolean {
  return new URL(uri).protocol === 'http:' && new URL(issuer).protocol === 'https:'
}
