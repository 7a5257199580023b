import { type AppHandler, isAjwt, refuseApp } from './coverage.js'

/** A router of @koa/router. */
interface Router {
  readonly stack: readonly Layer[]
}

interface Layer {
  /** With the prefixes of every router that it is in. */
  readonly path: string | RegExp
  readonly regexp: RegExp
  /** None for `router.use`. */
  readonly methods: readonly string[]
  readonly stack: readonly unknown[]
}

/** Every handler of the routers of an app, or of one router, whose `ajwt` is unknown and assumed. */
export function handlersOf(app: object): AppHandler[] {
  const value: object = Object(app)
  if (isRouter(value)) return handlersIn(value, true)
  const { middleware }: { readonly middleware?: unknown } = value
  if (!Array.isArray(middleware)) refuseApp('an app of Koa, or a router of @koa/router,')
  let isProtected = false
  return middleware.flatMap((entry) => {
    isProtected ||= isAjwt(entry)
    const { router } = entry as { readonly router?: object }
    return router !== undefined && isRouter(router) ? handlersIn(router, isProtected) : []
  })
}

function handlersIn({ stack }: Router, isProtected: boolean): AppHandler[] {
  return stack.flatMap(({ path, regexp, methods, stack: functions }) =>
    methodsOf(methods).map((method) => ({
      method,
      path: String(path),
      isProtected: isProtected || isAjwt(functions[0]),
      ...(path instanceof RegExp ? { matches: (text: string) => text.search(regexp) >= 0 } : {}),
    })),
  )
}

const everyMethod = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE']

/** `router.all` registers every method that Node knows. */
function methodsOf(methods: readonly string[]): readonly string[] {
  return everyMethod.every((method) => methods.includes(method)) ? ['*'] : methods
}

function isRouter(value: object): value is Router {
  return 'stack' in value && Array.isArray(value.stack)
}
