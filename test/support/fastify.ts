import type { RequestListener } from 'node:http'
import type { FastifyInstance } from 'fastify'

/** A listener for an app of Fastify: the first request waits for its plugins. */
export function fastifyListener(app: Pick<FastifyInstance, 'ready' | 'routing'>): RequestListener {
  return (request, response) => {
    Promise.resolve(app.ready()).then(
      () => app.routing(request, response),
      (error) => response.writeHead(500).end(String(error)),
    )
  }
}
