/**
 * The JSON object in a response; undefined if the body is no object. It is also undefined beyond `limit`
 * bytes, so that a server cannot exhaust the client's memory.
 */
export async function readJson(
  response: Response,
  limit: number,
): Promise<Record<string, unknown> | undefined> {
  const text = await readText(response, limit)
  try {
    const value: unknown = JSON.parse(text ?? '')
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

async function readText(response: Response, limit: number): Promise<string | undefined> {
  const reader = response.body?.getReader()
  if (!reader) return undefined
  const chunks: Uint8Array<ArrayBuffer>[] = []
  let length = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return new Blob(chunks).text()
    length += value.length
    if (length > limit) {
      // Not awaited: on a cloned body, cancel waits until the other branch has been read.
      reader.cancel().catch(() => {})
      return undefined
    }
    chunks.push(value)
  }
}
