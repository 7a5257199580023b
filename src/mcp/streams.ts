import { readInterval, type WatchOptions, watchCredentials } from '../connection/watch-credentials.js'
import type { Denial } from '../decision.js'
import { createDecidedMiddleware } from './http/decided-middleware.js'
import type { AnyMiddleware } from './http/exchange.js'
import { isEventStream, type ResponseFilter } from './http/response-filter.js'
import { requestIdOf } from './json-rpc.js'

export type EndWithTokenOptions = WatchOptions

/**
 * Middleware that ends a stream of server-sent events once the token of its request has expired, or is
 * revoked: the answer to a POST, and the stream of a GET. Mount it behind `ajwt`, in front of the MCP
 * handler, on Express, Koa or Hono.
 *
 * A stream ends at the expiry, plus the clock tolerance. It ends at once for a revocation in a store that
 * tells of it, as `memoryRevocations` and `redisRevocations` do, else within `recheckInterval`. The answer to
 * a POST ends with a JSON-RPC error. Throws a PolicyError for a wrong option.
 */
export function endWithToken(options: EndWithTokenOptions = {}): AnyMiddleware {
  const interval = readInterval(options)
  return createDecidedMiddleware('endWithToken', ({ exchange, engine, outcome, authorized, body }) => {
    // Nothing expires without a grant.
    if (authorized === undefined) return exchange.proceed(undefined)
    let stop = (): void => {}
    const filter: ResponseFilter = {
      head(head, cut) {
        if (!isEventStream(head)) return undefined
        const isReadable = head.field('content-encoding') === undefined
        const id = isReadable ? requestIdOf(body) : null
        const boundary = createBoundary()
        stop = watchCredentials(engine, outcome, interval, (denial) => {
          cut(id === null || !boundary.isReached ? undefined : errorEvent(id, denial))
        })
        return {
          kind: 'parts',
          check(part) {
            boundary.read(part)
            return true
          },
        }
      },
      closed: () => stop(),
    }
    return exchange.proceed(filter)
  })
}

/** The error that answers the request, so that the client does not wait until its timeout. */
function errorEvent(id: string | number, { code, description }: Denial): Uint8Array {
  const error = { code: -32000, message: description, data: { code } }
  const message = JSON.stringify({ jsonrpc: '2.0', id, error })
  return new TextEncoder().encode(`event: message\ndata: ${message}\n\n`)
}

const [LF, CR] = [10, 13]

/** Whether the bytes so far end with a whole event, so that another one can follow. */
function createBoundary(): { readonly isReached: boolean; read(part: Uint8Array): void } {
  let tail: readonly number[] = [LF, LF]
  return {
    get isReached() {
      const [last, before] = tail
        .filter((byte) => byte !== CR)
        .slice(-2)
        .reverse()
      return last === LF && before === LF
    },
    read(part) {
      tail = [...tail, ...part.slice(-4)].slice(-4)
    },
  }
}
