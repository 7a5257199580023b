import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

/** A TCP proxy, like a virtual address. `retarget` moves it to another server and closes all connections. */
export async function startProxy(target: number) {
  let current = target
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const upstream = connect(current, '127.0.0.1')
    client.pipe(upstream).pipe(client)
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket)
      socket.on('error', () => other.destroy())
      socket.on('close', () => {
        sockets.delete(socket)
        other.destroy()
      })
    }
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const cut = () => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    port: (server.address() as { port: number }).port,
    cut,
    /** Discards data on open connections, which stay open. New connections work. */
    silence() {
      for (const socket of sockets) {
        socket.unpipe()
        socket.resume()
      }
    },
    retarget(port: number) {
      current = port
      cut()
    },
    stop() {
      server.close()
      cut()
    },
  }
}
