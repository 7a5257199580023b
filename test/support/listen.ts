import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Listening {
  readonly origin: string
  close(): void
}

/** Serves an app on a free port. */
export async function listen(listener: RequestListener): Promise<Listening> {
  // Longer than a test, so that no idle connection closes just when a request is sent.
  const server = createServer({ keepAliveTimeout: 600_000 }, listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}
