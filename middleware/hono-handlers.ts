import { type AppHandler, isAjwt, isAt, isBelow, refuseApp } from './coverage.js'

export interface RouterRoute {
  /** `ALL` for `app.use` and for `app.all`. */
  readonly method: string
  readonly path: string
  readonly handler: unknown
}

/** Hono keeps the handler of a sub-app with its own error handler under this name. */
const composed = '__COMPOSED_HANDLER'

/** The paths at which an earlier `ajwt` is mounted. */
interface Guard {
  readonly method: string
  readonly path: string
}

/** Every handler of an app, in the order in which Hono runs them. */
export function handlersOf(routes: readonly RouterRoute[]): AppHandler[] {
  if (!Array.isArray(routes)) refuseApp('an app of Hono')
  const guards: Guard[] = []
  return routes.flatMap(({ method: name, path, handler }) => {
    const target = unwrap(handler)
    const method = name === 'ALL' ? '*' : name
    if (isAjwt(target)) {
      guards.push({ method, path })
      return []
    }
    if (method === '*' && isMiddleware(target)) return []
    return [{ method, path, isProtected: guards.some((guard) => protects(guard, method, path)) }]
  })
}

/**
 * Whether every request to a handler passes the guard. In Hono, `/a/*` takes `/a`, and `/a` takes nothing
 * below it.
 */
function protects(guard: Guard, method: string, path: string): boolean {
  if (guard.method !== '*' && guard.method !== method) return false
  return guard.path.endsWith('/*') ? isBelow(path, guard.path.slice(0, -2)) : isAt(path, guard.path)
}

function unwrap(handler: unknown): unknown {
  return typeof handler === 'function' && composed in handler ? handler[composed] : handler
}

/** The rule of Hono's `inspectRoutes`: middleware has a parameter `next`. */
function isMiddleware(handler: unknown): boolean {
  return typeof handler === 'function' && handler.length > 1
}
