import { brandError } from '../lib/copies.js'
import { withoutPrototypes } from '../lib/objects.js'
import { printable } from '../lib/sanitize.js'

/** A JWK Set or a metadata document needs far less. */
const maxBytes = 256 * 1024

/**
 * A document could not be fetched. The message is for the operator: the URL without its query, and the cause.
 */
export class FetchError extends Error {
  static {
    brandError(FetchError, 'FetchError')
  }
}

/**
 * Fetches a JSON document. Accepts only status 200, follows no redirect, reads at most 256 KiB and ignores a
 * byte order mark (RFC 8259 section 8.1). Throws a FetchError.
 */
export async function fetchJson(
  url: string,
  accept: string,
  fetch: typeof globalThis.fetch,
  signal: AbortSignal,
): Promise<unknown> {
  let text: string
  try {
    // A redirect could lead to another host, or to plain http.
    const response = await fetch(url, { method: 'GET', headers: { accept }, redirect: 'manual', signal })
    if (response.status !== 200) {
      // Not awaited: the cancellation of a stream may never end.
      response.body?.cancel().catch(() => {})
      throw new FetchError(
        `${shown(url)} answered with status ${response.status}${redirectNote(response.status)}`,
      )
    }
    text = await readText(response, url)
  } catch (error) {
    throw error instanceof FetchError ? error : new FetchError(`${shown(url)}: ${networkError(error, url)}`)
  }
  try {
    return withoutPrototypes(JSON.parse(text))
  } catch {
    throw new FetchError(`${shown(url)} answered with no JSON`)
  }
}

/** A URL as a cause shows it: the query of a `jwksUri` may hold an API key. */
export function shown(url: string): string {
  const { origin, pathname } = new URL(url)
  return printable(origin + pathname)
}

async function readText(response: Response, url: string): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  let length = 0
  // A throw leaves the loop and cancels the stream, so an endless body ends here.
  for await (const chunk of response.body ?? []) {
    length += chunk.byteLength
    if (length > maxBytes) throw new FetchError(`${shown(url)} answered with more than 256 KiB`)
    text += decoder.decode(chunk, { stream: true })
  }
  return text + decoder.decode()
}

function redirectNote(status: number): string {
  return status >= 300 && status < 400 ? ', and redirects are not followed' : ''
}

/** Node's message is only `fetch failed`. The cause has the code. */
function networkError(error: unknown, url: string): string {
  try {
    const { message, cause }: { message?: unknown; cause?: { code?: unknown } } = Object(error)
    const code = cause?.code
    const text = typeof code === 'string' ? `${message} (${code})` : String(message)
    return printable(text.replaceAll(url, shown(url)))
  } catch {
    return 'the fetch failed'
  }
}
