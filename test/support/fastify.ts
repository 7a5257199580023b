import type { RequestListener } from 'node:http'
import type { FastifyInstance } from 'fastify'

/** A listener for a Fastify app. The first request waits until its plugins are loaded. */
export function fastifyListener(app: Pick<FastifyInstance, 'ready' | 'routing'>): RequestListener {
  return (request, response) => {
    Promise.resolve(app.ready()).then(
      () => app.routing(request, response),
      (error) => response.writeHead(500).end(String(error)),
    )
  }
}
