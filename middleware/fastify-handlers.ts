import { type AppHandler, isAjwt, refuseApp } from './coverage.js'

/** The part of an app of Fastify that lists its routes. */
export interface RouteLister {
  ready(): PromiseLike<unknown>
  printRoutes(options?: object): string
}

interface Route {
  readonly method: string
  readonly path: string
  readonly store?: {
    readonly onRequest?: readonly unknown[] | null
    readonly config?: { readonly url?: string }
  }
}

/**
 * Every route of an app, after loading its plugins. Fastify has no list of routes, but `printRoutes` calls
 * `buildPrettyMeta` for each.
 */
export async function handlersOf(app: RouteLister): Promise<AppHandler[]> {
  if (typeof app?.printRoutes !== 'function') refuseApp('an instance of Fastify')
  await app.ready()
  const handlers: AppHandler[] = []
  const text = app.printRoutes({
    includeMeta: ['onRequest'],
    get buildPrettyMeta() {
      return (route: Route) => {
        // Read at once, because the router merges routes into one object later.
        handlers.push(toHandler(route))
        return {}
      }
    },
    // The router assigns its own function.
    set buildPrettyMeta(_own) {},
  })
  if (handlers.length === 0 && text.includes('/')) {
    throw new Error('ajwt/fastify: verifyRoutes cannot read the routes of this version of Fastify')
  }
  return joinMethods(handlers.filter((handler) => !isHeadOfPrefix(handler, handlers)))
}

function toHandler({ method, path, store }: Route): AppHandler {
  const url = store?.config?.url
  return {
    method,
    // The root of a prefix has two paths and one pattern.
    path: url !== undefined && path === `${url}/` ? url : path,
    isProtected: store?.onRequest?.some(isAjwt) ?? false,
  }
}

/**
 * Fastify 5 adds HEAD routes for both paths of a prefix's root, as two patterns. `ajwt` denies the one with a
 * slash.
 */
function isHeadOfPrefix({ method, path }: AppHandler, handlers: readonly AppHandler[]): boolean {
  if (method !== 'HEAD' || !path.endsWith('/')) return false
  const isGet = (other: AppHandler, at: string) => other.method === 'GET' && other.path === at
  const hasOwn = handlers.some((other) => isGet(other, path))
  return !hasOwn && handlers.some((other) => isGet(other, path.slice(0, -1)))
}

const everyMethod = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE']

/** `app.all` registers every method that Fastify knows. */
function joinMethods(handlers: readonly AppHandler[]): AppHandler[] {
  const byPath = new Map<string, AppHandler[]>()
  for (const handler of handlers) {
    const name = `${handler.path} ${handler.isProtected}`
    byPath.set(name, [...(byPath.get(name) ?? []), handler])
  }
  return [...byPath.values()].flatMap((group) => {
    const methods = group.map(({ method }) => method)
    const [first] = group
    const isForAll = everyMethod.every((method) => methods.includes(method))
    return first !== undefined && isForAll ? [{ ...first, method: '*' }] : group
  })
}
