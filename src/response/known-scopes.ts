import { Refusal } from '../refusal.js'

/** The scopes that each route needs, as far as its rules are known. */
export interface KnownScopes {
  /** Records that a `requireIntent` of this route needs these scopes, separated by blanks. */
  record(method: string, route: string | undefined, scope: string | undefined): void
  /** Adds `scope` and the known scopes of the route to a denial whose challenge names scopes. */
  addTo(refusal: Refusal, method: string, route: string | undefined, scope?: string): Refusal
}

/** Memory limits, because an app may create rules for each request. */
const maxRoutes = 10_000
const maxScopes = 100

/**
 * Collects the scopes of each route, so that a challenge names all of them and the client requests one token.
 * The scopes of a `requireIntent` are known after its first request.
 */
export function createKnownScopes(): KnownScopes {
  const scopesByRoute = new Map<string, Set<string>>()
  const keyOf = (method: string, route: string) => `${method === 'HEAD' ? 'GET' : method} ${route}`

  return {
    record(method, route, scope) {
      // A route with a final `*` has many handlers, which need different scopes.
      if (route === undefined || scope === undefined || route.endsWith('*')) return
      const key = keyOf(method, route)
      const known = scopesByRoute.get(key)
      if (known === undefined && scopesByRoute.size >= maxRoutes) return
      const scopes = known ?? new Set()
      if (known === undefined) scopesByRoute.set(key, scopes)
      for (const name of scope.split(' ')) if (scopes.size < maxScopes) scopes.add(name)
    },
    addTo(refusal, method, route, scope) {
      const { code, cause, details, agent } = refusal
      if (code !== 'credentials_missing' && code !== 'scope_insufficient') return refusal
      const known = route === undefined ? undefined : scopesByRoute.get(keyOf(method, route))
      if (known === undefined && scope === undefined) return refusal
      const all = new Set([...namesIn(scope), ...namesIn(details?.scope), ...(known ?? [])])
      return new Refusal(code, cause, { ...details, scope: [...all].join(' ') }, agent)
    },
  }
}

function namesIn(scope: string | undefined): readonly string[] {
  return scope === undefined ? [] : scope.split(' ')
}
