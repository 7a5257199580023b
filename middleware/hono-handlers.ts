import { type AppHandler, isAjwt, isBelow } from './coverage.js'

export interface RouterRoute {
  /** `ALL` for `app.use` and for `app.all`. */
  readonly method: string
  readonly path: string
  readonly handler: unknown
}

/** Hono keeps the handler of a sub-app with its own error handler under this name. */
const composed = '__COMPOSED_HANDLER'

/** Every handler of an app, in the order in which Hono runs them. */
export function handlersOf(routes: readonly RouterRoute[]): AppHandler[] {
  const guards: string[] = []
  return routes.flatMap(({ method, path, handler }) => {
    const target = unwrap(handler)
    if (isAjwt(target)) {
      guards.push(path)
      return []
    }
    if (method === 'ALL' && isMiddleware(target)) return []
    const isProtected = guards.some((guard) => isBelow(path, guard))
    return [{ method: method === 'ALL' ? '*' : method, path, isProtected }]
  })
}

function unwrap(handler: unknown): unknown {
  return typeof handler === 'function' && composed in handler ? handler[composed] : handler
}

/** The rule of Hono's `inspectRoutes`: middleware has a parameter `next`. */
function isMiddleware(handler: unknown): boolean {
  return typeof handler === 'function' && handler.length > 1
}
