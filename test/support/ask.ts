import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { send } from '../../fixtures/conformance/wire.js'
import type { WireRequest } from '../../fixtures/kit.js'

/** The part of a response that shows which handler or middleware responded. */
export interface Reply {
  readonly status: number
  /** The code of a denial, or the body of the handler. */
  readonly content: string
  readonly header: (name: string) => string | undefined
}

/** Serves the app for one request. Handlers must respond with their name as plain text. */
export async function ask(listener: RequestListener, request: WireRequest): Promise<Reply> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  try {
    const { status, headers, body } = await send((server.address() as AddressInfo).port, request)
    const fields = new Map(headers)
    const content = body.startsWith('{') ? (JSON.parse(body) as { code: string }).code : body
    return { status, content, header: (name) => fields.get(name) }
  } finally {
    server.close()
    server.closeAllConnections()
  }
}
