import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { send } from '../../fixtures/conformance/wire.js'
import type { WireRequest } from '../../fixtures/kit.js'

/** What came back over a real socket, as far as it tells who answered. */
export interface Reply {
  readonly status: number
  /** The code of a refusal, or what the handler said of itself. */
  readonly says: string
  readonly header: (name: string) => string | undefined
}

/** Serves the app for one request. A handler is to answer with its name as plain text. */
export async function ask(listener: RequestListener, request: WireRequest): Promise<Reply> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  try {
    const { status, headers, body } = await send((server.address() as AddressInfo).port, request)
    const fields = new Map(headers)
    const says = body.startsWith('{') ? (JSON.parse(body) as { code: string }).code : body
    return { status, says, header: (name) => fields.get(name) }
  } finally {
    server.close()
    server.closeAllConnections()
  }
}
