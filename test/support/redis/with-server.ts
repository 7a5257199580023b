import { it } from 'vitest'
import { connectClient, type Package, type TestClient } from './clients.js'
import { type RedisServer, startRedis } from './server.js'

interface WithServer {
  readonly server: RedisServer
  /** Called at the end of the test, the last one first. */
  readonly closing: (() => unknown)[]
  /** A client, by default of the server of the test. It is closed at the end of the test. */
  readonly connect: (port?: number) => Promise<TestClient>
}

/**
 * A test with a Redis server of its own. Such tests mostly wait, so they run at the same time:
 * `describe.concurrent`. `age` is how many milliseconds the server has been up when the test begins.
 */
export const testWithServer = (name: Package, { age = 0 } = {}) =>
  it.extend<WithServer>({
    // biome-ignore lint/correctness/noEmptyPattern: Vitest reads names of fixtures from it.
    server: async ({}, use) => {
      const server = await startRedis()
      await new Promise((resolve) => setTimeout(resolve, age))
      await use(server)
      await server.stop()
    },
    closing: async ({ server }, use) => {
      const closing: (() => unknown)[] = []
      await use(closing)
      server.thaw()
      for (const close of closing.reverse()) await close()
    },
    connect: async ({ server, closing }, use) => {
      await use(async (port = server.port) => {
        const test = await connectClient(name, port)
        closing.push(test.close)
        return test
      })
    },
  })
