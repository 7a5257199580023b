import { readJson } from '../http/body.js'
import { audience, safeUrl } from '../http/grammar.js'
import type { FetchLike } from '../tokens/token-request.js'

/** The origins that may be sent a token for a resource; throws a TypeError for any other. */
export type OriginCheck = (resource: string, url: URL) => void

/**
 * A resource is served at the origin of its own URL, and at no other unless `origins` names them.
 *
 * @throws TypeError naming the option that is wrong
 */
export function createOriginCheck(
  origins: Readonly<Record<string, readonly string[]>> = {},
  allowInsecureHttp = false,
): OriginCheck {
  const named = new Map(
    Object.entries(origins).map(([resource, list]) => {
      const path = `origins[${JSON.stringify(resource)}]`
      if (!Array.isArray(list)) throw new TypeError(`${path} must be an array of origins`)
      return [
        audience(resource, path),
        list.map((item, i) => origin(item, `${path}[${i}]`, allowInsecureHttp)),
      ]
    }),
  )
  return (resource, url) => {
    const allowed = named.get(resource) ?? [originOf(resource)]
    if (allowed.includes(url.origin)) return
    // A token in the hands of another server could be forwarded to its resource by that server.
    throw new TypeError(
      `a token for the resource ${resource} must not be sent to ${url.origin}: name the right resource in intent.resource, or add the origin to the client's option origins (${JSON.stringify({ [resource]: [url.origin] })})`,
    )
  }
}

function origin(value: unknown, path: string, allowInsecureHttp: boolean): string {
  const url = safeUrl(value, path, allowInsecureHttp)
  if (url.href === `${url.origin}/`) return url.origin
  throw new TypeError(`${path} must be an origin: scheme, host and port alone`)
}

function originOf(resource: string): string | undefined {
  return URL.canParse(resource) ? new URL(resource).origin : undefined
}

const MAX_METADATA = 65536

/**
 * The resource that an API says it is, from the metadata that its challenge points to (RFC 9728 section 5.1).
 * Undefined where there is none to be had. It serves an error message and decides nothing.
 */
export async function readResource(
  metadata: string | undefined,
  { url, fetch, timeout }: { url: URL; fetch: FetchLike; timeout: number },
): Promise<string | undefined> {
  // At the API's own origin only: an API must not make the agent call other servers (RFC 9728 section 7.7).
  if (!metadata || !URL.canParse(metadata) || new URL(metadata).origin !== url.origin) return undefined
  try {
    const headers = { accept: 'application/json' }
    const signal = AbortSignal.timeout(timeout)
    const response = await fetch(metadata, { headers, redirect: 'manual', credentials: 'omit', signal })
    if (response.status !== 200) {
      await response.body?.cancel()
      return undefined
    }
    const document = await readJson(response, MAX_METADATA)
    return audience(document?.resource, 'resource').slice(0, 300)
  } catch {
    return undefined
  }
}
