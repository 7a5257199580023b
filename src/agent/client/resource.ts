import { readJson } from '../http/body.js'
import type { FetchLike } from '../http/fetch.js'
import { parseAudience, parseSafeUrl } from '../http/grammar.js'

/** Throws a TypeError if a token for the resource must not be sent to the URL. */
export type OriginCheck = (resource: string, url: URL) => void

/**
 * Allows the origin of the resource's own URL, or instead those that `origins` lists for the resource.
 *
 * @throws TypeError naming the option that is wrong
 */
export function createOriginCheck(
  origins: Readonly<Record<string, readonly string[]>> = {},
  allowInsecureHttp = false,
): OriginCheck {
  const configured = new Map(
    Object.entries(origins).map(([resource, list]) => {
      const path = `origins[${JSON.stringify(resource)}]`
      if (!Array.isArray(list)) throw new TypeError(`${path} must be an array of origins`)
      return [
        parseAudience(resource, path),
        list.map((item, i) => parseOrigin(item, `${path}[${i}]`, allowInsecureHttp)),
      ]
    }),
  )
  return (resource, url) => {
    const allowed = configured.get(resource) ?? [originOf(resource)]
    if (allowed.includes(url.origin)) return
    // Another server could forward the token to the resource.
    throw new TypeError(
      `a token for the resource ${resource} must not be sent to ${url.origin}: name the right resource in ` +
        "intent.resource, or add the origin to the client's option origins " +
        `(${JSON.stringify({ [resource]: [url.origin] })})`,
    )
  }
}

function parseOrigin(value: unknown, path: string, allowInsecureHttp: boolean): string {
  const url = parseSafeUrl(value, path, allowInsecureHttp)
  if (url.href === `${url.origin}/`) return url.origin
  throw new TypeError(`${path} must be an origin: only scheme, host and port`)
}

function originOf(resource: string): string | undefined {
  return URL.canParse(resource) ? new URL(resource).origin : undefined
}

const MAX_METADATA_BYTES = 65536

/**
 * The resource identifier in the API's metadata, which the challenge points to (RFC 9728 section 5.1);
 * undefined if it cannot be read. It is used only in an error message.
 */
export async function readResource(
  metadata: string | undefined,
  { url, fetch, timeout }: { url: URL; fetch: FetchLike; timeout: number },
): Promise<string | undefined> {
  // Only at the API's own origin: an API must not make the agent call other servers (RFC 9728 section 7.7).
  if (!metadata || !URL.canParse(metadata) || new URL(metadata).origin !== url.origin) return undefined
  try {
    const headers = { accept: 'application/json' }
    const signal = AbortSignal.timeout(timeout)
    const response = await fetch(metadata, { headers, redirect: 'manual', credentials: 'omit', signal })
    if (response.status !== 200) {
      await response.body?.cancel()
      return undefined
    }
    const document = await readJson(response, MAX_METADATA_BYTES)
    return parseAudience(document?.resource, 'resource').slice(0, 300)
  } catch {
    return undefined
  }
}
