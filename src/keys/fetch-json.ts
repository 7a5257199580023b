import { Buffer } from 'node:buffer'

/** Far more than a JWK Set or a metadata document needs. */
const maxBytes = 256 * 1024

/**
 * Fetches a JSON document: status 200 only, no redirect followed, at most 256 KiB, and all of it before the
 * signal says so. Throws where it cannot be had.
 */
export async function fetchJson(
  url: string,
  fetch: typeof globalThis.fetch,
  signal: AbortSignal,
): Promise<unknown> {
  const response = await fetch(url, {
    method: 'GET',
    headers: { accept: 'application/json' },
    // A redirect could lead to another host, or to plain http.
    redirect: 'manual',
    signal,
  })
  if (response.status !== 200) {
    await response.body?.cancel()
    throw new Error(`status ${response.status}`)
  }
  return JSON.parse((await readBody(response)).toString('utf8'))
}

async function readBody(response: Response): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  let length = 0
  // Leaving the loop by a throw cancels the stream, so that an endless body ends here.
  for await (const chunk of response.body ?? []) {
    length += chunk.byteLength
    if (length > maxBytes) throw new Error('body too large')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
