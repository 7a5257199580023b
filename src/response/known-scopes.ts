import { Refusal } from '../refusal.js'

/** Scopes that the rules behind a route need. */
export interface KnownScopes {
  /** Takes note that a rule behind this route needs these scopes, blank-separated. */
  remember(method: string, route: string | undefined, scope: string | undefined): void
  /** The refusal, whose challenge names these scopes and those known of the route as well, where it names any. */
  addTo(refusal: Refusal, method: string, route: string | undefined, scope?: string): Refusal
}

/** The routes of a policy are few; rules made anew for each request must not fill the memory all the same. */
const maxRoutes = 10_000
const maxScopes = 100

/**
 * A challenge names every scope that the request needs, so that the client asks for a token once. What `requireIntent`
 * needs is known once it has judged a request that the rule of the route had let in.
 */
export function createKnownScopes(): KnownScopes {
  const scopesByRoute = new Map<string, Set<string>>()
  const keyOf = (method: string, route: string) => `${method === 'HEAD' ? 'GET' : method} ${route}`

  return {
    remember(method, route, scope) {
      // A final `*` stands for many handlers: what one of them needs, the others need not.
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
