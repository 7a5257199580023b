import { sharedInProcess } from '../../lib/copies.js'
import { parseMessage } from '../message.js'

/** The longest body that is read, in bytes: as the MCP SDKs have it. */
const maxBytes = 4 * 1024 * 1024

/** The parts of Hono's context that a message is read from. */
export interface MessageContext {
  readonly req: { readonly raw: Request; json(): Promise<unknown> }
  get(name: string): unknown
}

/** By the request, so that several middleware read a body once. */
const messages = sharedInProcess('messages', () => new WeakMap<Request, Promise<unknown>>())

/**
 * The JSON-RPC message of a request in Hono. Read from a copy, because the MCP SDKs read the request itself.
 * `parsedBody` is set by `createMcpHonoApp`. Undefined for a body that is no JSON, or is too long.
 */
export async function honoMessageOf(c: MessageContext): Promise<unknown> {
  const parsed: unknown = c.get('parsedBody')
  if (parsed !== undefined) return parsed
  const { raw } = c.req
  const message = messages.get(raw) ?? readBody(c)
  messages.set(raw, message)
  return message
}

async function readBody(c: MessageContext): Promise<unknown> {
  const { raw } = c.req
  if (raw.body === null) return undefined
  try {
    // An earlier middleware has read the body: `c.req` keeps it.
    if (raw.bodyUsed) return await c.req.json()
    const text = await readText(raw.clone())
    return text === undefined ? undefined : parseMessage(text)
  } catch {
    return undefined
  }
}

async function readText({ body }: Request): Promise<string | undefined> {
  if (body === null) return undefined
  const decoder = new TextDecoder('utf-8', { fatal: true })
  const reader = body.getReader()
  let text = ''
  for (let length = 0; ; ) {
    const { done, value } = await reader.read()
    if (done) return text + decoder.decode()
    length += value.byteLength
    if (length > maxBytes) {
      // Not awaited: a copy's cancellation settles only when the request itself is cancelled too.
      reader.cancel().catch(() => {})
      return undefined
    }
    text += decoder.decode(value, { stream: true })
  }
}
