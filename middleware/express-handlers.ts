import { type AppHandler, isAjwt, isBelow, joinPaths } from './coverage.js'

/** A layer of a router, in Express 4 or 5. */
interface Layer {
  readonly handle?: unknown
  readonly route?: Route | undefined
  /** Express 4. */
  readonly regexp?: RegExp
  readonly keys?: readonly { readonly name: string | number }[]
  /** Express 5. */
  readonly matchers?: readonly Matcher[]
}

type Matcher = (path: string) => false | { readonly params: object }

interface Route {
  readonly path: unknown
  readonly methods: Readonly<Record<string, boolean>>
  readonly stack: readonly Layer[]
}

/** A position in the router tree: the mount paths above it, and those protected by an earlier `ajwt`. */
interface Place {
  readonly mounts: readonly string[]
  readonly guards: readonly string[]
  readonly root: object
}

/** Every handler of an app or a router, in the order in which Express tries them. */
export function handlersOf(app: object): AppHandler[] {
  const root = routerOf(app)
  return root === undefined ? [] : handlersIn(root.stack, { mounts: [''], guards: [], root })
}

function handlersIn(layers: readonly Layer[], { mounts, guards: outer, root }: Place): AppHandler[] {
  const guards = [...outer]
  return layers.flatMap((layer) => {
    const { handle, route } = layer
    if (route !== undefined) return mounts.flatMap((mount) => handlersAt(route, mount, guards))
    const below = mounts.flatMap((mount) => mountsOf(layer).map((path) => joinPaths(mount, path)))
    if (isAjwt(handle)) guards.push(...below)
    else if (typeof handle === 'function') return handlersBelow(handle, { mounts: below, guards, root })
    return []
  })
}

/** The handlers of a router or a mounted app. An unreadable app counts as a handler of every path below. */
function handlersBelow(handle: { readonly name: string }, place: Place): AppHandler[] {
  if (isRouter(handle)) return handlersIn(handle.stack, place)
  if (handle.name !== 'mounted_app') return []
  const inner = routerBehind(handle, place.root)
  if (inner !== undefined) return isRouter(inner) ? handlersIn(inner.stack, place) : []
  return place.mounts.map((mount) => ({
    method: '*',
    path: joinPaths(mount, '/*'),
    isProtected: isGuarded(mount, place.guards),
  }))
}

function handlersAt(route: Route, mount: string, guards: readonly string[]): AppHandler[] {
  const paths: readonly unknown[] = Array.isArray(route.path) ? route.path : [route.path]
  return paths.flatMap((path) => {
    const place = path instanceof RegExp ? placeOf(path, mount) : { path: joinPaths(mount, String(path)) }
    const isProtected = isGuarded(path instanceof RegExp ? mount : place.path, guards)
    return methodsOf(route.methods).map((method) => ({
      method,
      ...place,
      isProtected: isProtected || hasGuard(route, method),
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

/** Express ignores letter case in mount paths. */
function isGuarded(path: string, guards: readonly string[]): boolean {
  return guards.some((guard) => isBelow(path.toLowerCase(), guard.toLowerCase()))
}

/** Whether `ajwt` is the first of the functions that a route has for a method. */
function hasGuard({ stack }: Route, method: string): boolean {
  const own = stack.find((layer) => {
    const name = (layer as { method?: string }).method
    return name === undefined || name.toUpperCase() === method
  })
  return isAjwt(own?.handle)
}

/** The router of an app, or the router itself. Undefined for an app that has none yet. */
function routerOf(app: object): { readonly stack: readonly Layer[] } | undefined {
  if (isRouter(app)) return app
  const { _router }: { _router?: object } = app
  if (_router !== undefined) return isRouter(_router) ? _router : undefined
  // Express 4 without a router: reading `router` throws.
  if ('lazyrouter' in app) return undefined
  const { router }: { router?: object } = app
  return router !== undefined && isRouter(router) ? router : undefined
}

function isRouter(value: object): value is { readonly stack: readonly Layer[] } {
  return 'stack' in value && Array.isArray(value.stack)
}

const everyMethod = ['get', 'head', 'post', 'put', 'patch', 'delete', 'options', 'trace']

/** `app.all` registers every method that Node knows. */
function methodsOf(methods: Route['methods']): readonly string[] {
  if (methods._all || everyMethod.every((name) => methods[name])) return ['*']
  return Object.keys(methods).map((name) => name.toUpperCase())
}

/** The mount paths of a layer, '' for the root. An unreadable path becomes a text that no key has. */
function mountsOf({ regexp, keys = [], matchers = [] }: Layer): readonly string[] {
  if (regexp !== undefined) {
    const names = keys.map(({ name }) => String(name))
    return regexp.source.split('|^').map((source) => readMount(source.replace(/^\^?/, '^'), names))
  }
  return matchers.map((matcher) => {
    const source = sourceOf(matcher)
    return source === undefined ? '/(an unreadable path)' : readMount(source, namesOf(matcher, source))
  })
}

/**
 * The source of the regular expression of an Express 5 mount path, which Express does not keep.
 * `RegExp.prototype.exec` is replaced for one synchronous call and restored before other code can run.
 */
function sourceOf(matcher: Matcher): string | undefined {
  const { exec } = RegExp.prototype
  let source: string | undefined
  try {
    RegExp.prototype.exec = function (text) {
      source ??= this.source
      return exec.call(this, text)
    }
    matcher('/')
  } catch {
    // Frozen built-ins.
  } finally {
    RegExp.prototype.exec = exec
  }
  return source
}

// The text that path-to-regexp adds around a mount path, in the versions of Express 4 and 5.
const start = /^\^(?:\(\?:)?/
const end = /\)?(?:\(\?:\\\/\$\)\?|\\\/\?)\(\?=\\\/\|\$\)$/
const parameter = /\((?:\?:)?(?:\\\/\()?\[\^\\?\/\]\+\??\)?\)/g

function readMount(source: string, names: readonly string[]): string {
  // A regular expression of the app. No key can have such a path.
  if (!end.test(source)) return `(/${source}/)`
  let at = 0
  return source
    .replace(start, '')
    .replace(end, '')
    .replace(parameter, (text) => `${text.includes('\\/(') ? '/' : ''}:${names[at++] ?? `p${at}`}`)
    .replace(/\\([/.-])/g, '$1')
}

/** The names of a mount path's parameters, read from the match of an example path. */
function namesOf(matcher: Matcher, source: string): readonly string[] {
  const match = matcher(readMount(source, []).replaceAll(':', ''))
  return match === false ? [] : Object.keys(match.params)
}

/**
 * The router of an app mounted by `app.use('/path', app)`, which Express keeps in a closure. The closure is
 * called while the router's `handle` is replaced, so no middleware of the app runs. With another copy of
 * Express, whose router is not replaced, the call fails at its first access to the request.
 */
function routerBehind(mountedApp: object, outer: object): object | undefined {
  const prototype = ownerOf('handle', outer)
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
    ;(mountedApp as (...parts: unknown[]) => void)(request, { setHeader() {}, locals: {} }, () => {
      // An app of Express 4 that has no router yet.
      inner = { stack: [] }
    })
  } catch {
    // Not readable.
  } finally {
    prototype.handle = handle
  }
  return inner
}

/** The prototype that owns a method. */
function ownerOf(method: 'handle', value: object): { handle: unknown } | undefined {
  let owner: object | null = Object.getPrototypeOf(value)
  while (owner !== null && !Object.hasOwn(owner, method)) owner = Object.getPrototypeOf(owner)
  return owner === null ? undefined : (owner as { handle: unknown })
}
