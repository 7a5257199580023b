import type { Answer } from '../../decision.js'
import { type BodyFilter, isAnswer, type ResponseFilter } from './response-filter.js'

/** Shows a response to a filter. Resolves to the response to send. */
export async function filterWebResponse(response: Response, filter: ResponseFilter): Promise<Response> {
  let cutBody: (last?: Uint8Array) => void = () => {}
  const head = {
    status: response.status,
    field: (name: string) => response.headers.get(name) ?? undefined,
  }
  const action = await filter.head(head, (last) => cutBody(last))
  if (action !== undefined && isAnswer(action)) return replace(response, action)
  if (action === undefined) return response
  if (response.body === null) {
    filter.closed?.()
    return response
  }
  if (action.kind === 'whole') {
    const body = new Uint8Array(await response.arrayBuffer())
    const answer = await action.check(body)
    return answer === undefined ? copy(response, body) : replace(response, answer)
  }
  const { stream, cut } = filterStream(response.body, action, () => filter.closed?.())
  cutBody = cut
  return copy(response, stream)
}

function copy(
  { status, statusText, headers }: Response,
  body: ReadableStream | Uint8Array<ArrayBuffer>,
): Response {
  return new Response(body, { status, statusText, headers })
}

/** Only the fields that let a browser read the answer are kept of the app's response. */
function replace(response: Response, { status, headers, body }: Answer): Response {
  response.body?.cancel().catch(() => {})
  const kept = [...response.headers].filter(([name]) => /^(access-control-|vary$)/.test(name))
  return new Response(body, { status, headers: { ...Object.fromEntries(kept), ...headers } })
}

function filterStream(
  source: ReadableStream<Uint8Array>,
  body: Extract<BodyFilter, { kind: 'parts' }>,
  onClosed: () => void,
): { stream: ReadableStream<Uint8Array>; cut: (last?: Uint8Array) => void } {
  const reader = source.getReader()
  let isClosed = false
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined

  function close(): void {
    isClosed = true
    onClosed()
  }

  function cut(last?: Uint8Array): void {
    if (isClosed) return
    close()
    if (last !== undefined) controller?.enqueue(last)
    controller?.close()
    reader.cancel().catch(() => {})
  }

  /** The app's stream may fail. */
  async function readNext(): ReturnType<typeof reader.read> {
    try {
      return await reader.read()
    } catch (error) {
      if (!isClosed) close()
      throw error
    }
  }

  const stream = new ReadableStream<Uint8Array>({
    start(own) {
      controller = own
    },
    async pull(own) {
      const { done, value } = await readNext()
      if (isClosed) return
      if (done) {
        close()
        return own.close()
      }
      const isAllowed = await body.check(value)
      if (isClosed) return
      if (isAllowed) own.enqueue(value)
      else cut()
    },
    cancel(reason) {
      close()
      return reader.cancel(reason)
    },
  })
  return { stream, cut }
}
