import { type AppHandler, isAjwt, isBelow, joinPaths, refuseApp } from './coverage.js'

interface Router {
  readonly stack: readonly Layer[]
  readonly caseSensitive?: boolean
}

/** A layer of a router, in Express 4 or 5. */
interface Layer {
  readonly handle?: unknown
  readonly route?: Route | undefined
  /** Express 4. */
  readonly regexp?: RegExp
  readonly keys?: readonly { readonly name: string | number }[]
  /** Express 5, with version 2.3 of the package `router`. */
  readonly rawPath?: unknown
  /** Whether the path is the root. */
  readonly slash?: boolean
}

type HandlerFunction = (...parts: unknown[]) => unknown

interface Route {
  readonly path: unknown
  readonly methods: Readonly<Record<string, boolean>>
  readonly stack: readonly Layer[]
}

/** The paths at which an earlier `ajwt` is mounted. */
interface Guard {
  /** In lower case, unless the letter case counts. '' for the root. */
  readonly path: string
  readonly isCaseSensitive: boolean
}

/** A position in the router tree. */
interface Place {
  /** '' for the root. */
  readonly mount: string
  /** Whether an earlier `ajwt` protects all that is below `mount`. */
  readonly isProtected: boolean
  /** Each earlier `ajwt` that may protect a part. */
  readonly guards: readonly Guard[]
  /** The routers around it, with the app's first. */
  readonly routers: readonly Router[]
}

/** Every handler of an app or a router, in the order in which Express tries them. */
export function handlersOf(app: object): AppHandler[] {
  const value: object = Object(app)
  if (!isRouter(value) && !isApp(value)) refuseApp('an app or a router of Express')
  const router = routerOf(value)
  if (router === undefined) return []
  return handlersIn(router, { mount: '', isProtected: false, guards: [], routers: [] })
}

function handlersIn(router: Router, place: Place): AppHandler[] {
  const { mount, isProtected } = place
  const routers = [...place.routers, router]
  const guards = [...place.guards]
  return router.stack.flatMap((layer) => {
    const { handle, route } = layer
    if (route !== undefined) return handlersAt(route, { mount, isProtected, guards, routers })
    if (!isFunction(handle) || isMiddleware(handle)) return []
    const paths = pathsOf(layer)
    if (isAjwt(handle)) {
      guards.push(...paths.map((path) => guardAt(path, mount, router)))
      return []
    }
    return paths.flatMap((path) => {
      const inner = below(mount, path)
      const isGuarded = isProtected || isBehind(inner, guards)
      const found = handlersBelow(handle, { mount: inner, isProtected: isGuarded, guards, routers })
      // A function at the root of a router is middleware, or its answer to unknown paths.
      return found ?? (path === '' ? [] : [handlerOfAll(inner, isGuarded)])
    })
  })
}

function isFunction(value: unknown): value is HandlerFunction {
  return typeof value === 'function'
}

/** Functions that take `next` are middleware. */
function isMiddleware(handle: HandlerFunction): boolean {
  return handle.length > 2 && !(isAjwt(handle) || isRouter(handle) || isApp(handle) || isMountedApp(handle))
}

/** The handlers of a router or of a mounted app. Undefined for other functions. */
function handlersBelow(handle: HandlerFunction, place: Place): AppHandler[] | undefined {
  const { mount, isProtected, guards, routers } = place
  const router = isMountedApp(handle) ? routerBehind(handle, routers[0]) : routerOf(handle)
  if (router === undefined) return isMountedApp(handle) ? [handlerOfAll(mount, isProtected)] : undefined
  // A router may be mounted in itself.
  if (routers.includes(router)) return [handlerOfAll(mount, isProtected)]
  // A router that ignores letter case takes paths that a guard of a part of it does not.
  const inner = guards.filter(({ isCaseSensitive }) => router.caseSensitive || !isCaseSensitive)
  return handlersIn(router, { ...place, guards: inner })
}

/** Takes every path below the mount path, and finds its handlers itself. */
function handlerOfAll(mount: string, isProtected: boolean): AppHandler {
  return { method: '*', path: `${mount}/*`, isProtected, routesItself: true }
}

/** A mount path in front of what is below it: '' for the root. */
function below(mount: string, path: string): string {
  return joinPaths(mount, path).replace(/\/$/, '')
}

/** A wildcard at the root takes every path. */
function guardAt(path: string, mount: string, { caseSensitive = false }: Router): Guard {
  const prefix = below(mount, /^(\/?\*|\/\{\*\w+\})$/.test(path) ? '' : path)
  return { path: caseSensitive ? prefix : prefix.toLowerCase(), isCaseSensitive: caseSensitive }
}

function isBehind(path: string, guards: readonly Guard[]): boolean {
  return guards.some((guard) => isBelow(guard.isCaseSensitive ? path : path.toLowerCase(), guard.path))
}

function handlersAt(route: Route, { mount, isProtected, guards }: Place): AppHandler[] {
  return [route.path].flat(Number.POSITIVE_INFINITY).flatMap((path) => {
    const place = path instanceof RegExp ? placeOf(path, mount) : { path: joinPaths(mount, String(path)) }
    const isGuarded = isProtected || isBehind(path instanceof RegExp ? mount : place.path, guards)
    return methodsOf(route.methods).map((method) => ({
      method,
      ...place,
      isProtected: isGuarded || hasGuard(route, method),
    }))
  })
}

function placeOf(pattern: RegExp, mount: string): Pick<AppHandler, 'path' | 'matches'> {
  const expression = new RegExp(pattern.source, pattern.flags.replace(/[gy]/g, ''))
  return {
    path: mount === '' ? String(pattern) : `${mount} ${pattern}`,
    matches: (path) => isBelow(path, mount) && expression.test(path.slice(mount.length) || '/'),
  }
}

/** Whether `ajwt` is the first of the functions that a route has for a method. */
function hasGuard({ stack }: Route, method: string): boolean {
  const own = stack.find((layer) => {
    const name = (layer as { method?: string }).method
    return name === undefined || name.toUpperCase() === method
  })
  return isAjwt(own?.handle)
}

/** The router of an app, or the router itself. Undefined for an app that has none yet, and for others. */
function routerOf(app: object): Router | undefined {
  if (isRouter(app)) return app
  if (!isApp(app)) return undefined
  const { _router }: { _router?: object } = app
  if (_router !== undefined) return isRouter(_router) ? _router : undefined
  // Express 4 without a router: reading `router` throws.
  if ('lazyrouter' in app) return undefined
  const { router }: { router?: object } = app
  return router !== undefined && isRouter(router) ? router : undefined
}

function isRouter(value: object): value is Router {
  return 'stack' in value && Array.isArray(value.stack)
}

function isApp(value: object): boolean {
  return 'mountpath' in value
}

/** The function that `app.use(path, app)` puts around the other app. */
function isMountedApp(handle: HandlerFunction): boolean {
  return handle.name === 'mounted_app'
}

const everyMethod = ['get', 'head', 'post', 'put', 'patch', 'delete', 'options', 'trace']

/** `app.all` registers every method that Node knows. */
function methodsOf(methods: Route['methods']): readonly string[] {
  if (methods._all || everyMethod.every((name) => methods[name])) return ['*']
  return Object.keys(methods).map((name) => name.toUpperCase())
}

/** The mount paths of a layer. A regular expression becomes a text that no key has. */
function pathsOf({ regexp, keys = [], rawPath, slash }: Layer): readonly string[] {
  if (regexp !== undefined) {
    const names = keys.map(({ name }) => String(name))
    return regexp.source.split('|^').map((source) => readMount(source.replace(/^\^?/, '^'), names))
  }
  if (slash) return ['']
  if (rawPath === undefined) {
    throw new Error(
      'ajwt/express: verifyRoutes cannot read the mount path of a router or of ajwt. It is kept from version 2.3.0 of ' +
        'the package `router` on: run `npm update router`',
    )
  }
  return [rawPath].flat().map((path) => (path instanceof RegExp ? `/(${path})` : String(path)))
}

// The text that path-to-regexp adds around a mount path in Express 4.
const start = /^\^(?:\(\?:)?/
const end = /\)?(?:\(\?:\\\/\$\)\?|\\\/\?)\(\?=\\\/\|\$\)$/
const parameter = /\((?:\?:)?(?:\\\/\()?\[\^\\?\/\]\+\??\)?\)/g

/** The mount path that Express 4 has made a regular expression of. */
function readMount(source: string, names: readonly string[]): string {
  // A regular expression of the app. No key can have such a path.
  if (!end.test(source)) return `(/${source}/)`
  let at = 0
  return source
    .replace('(.*)', '*')
    .replace(start, '')
    .replace(end, '')
    .replace(parameter, (text) => `${text.includes('\\/(') ? '/' : ''}:${names[at++] ?? `p${at}`}`)
    .replace(/\\([/.-])/g, '$1')
}

/**
 * The router of a mounted app, which Express keeps in a closure. The closure is called while the router's
 * `handle` is replaced, so no middleware runs. With another copy of Express, the call fails at once.
 */
function routerBehind(mountedApp: HandlerFunction, outer: Router | undefined): Router | undefined {
  const prototype = outer && ownerOf('handle', outer)
  if (prototype === undefined) return undefined
  const { handle } = prototype
  let inner: object | undefined
  const request: object = new Proxy(
    {},
    {
      get(_target, name) {
        if (name !== 'app') throw new TypeError('not a request')
        return { request: {}, response: {} }
      },
    },
  )
  try {
    prototype.handle = function (this: object) {
      inner = this
    }
    mountedApp(request, { setHeader() {}, locals: {} }, () => {
      // An app of Express 4 that has no router yet.
      inner = { stack: [] }
    })
  } catch {
    // Not readable.
  } finally {
    prototype.handle = handle
  }
  return inner !== undefined && isRouter(inner) ? inner : undefined
}

/** The prototype that owns a method. */
function ownerOf(method: 'handle', value: object): { handle: unknown } | undefined {
  let owner: object | null = Object.getPrototypeOf(value)
  while (owner !== null && !Object.hasOwn(owner, method)) owner = Object.getPrototypeOf(owner)
  return owner === null ? undefined : (owner as { handle: unknown })
}
