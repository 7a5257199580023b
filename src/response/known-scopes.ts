import { Refusal } from '../refusal.js'

/** Scopes that the rules behind a route need. */
export interface KnownScopes {
  /** Remembers that a rule behind this route needs these scopes, separated by blanks. */
  remember(method: string, route: string | undefined, scope: string | undefined): void
  /** Adds the known scopes of the route, and these, to a challenge that names scopes. */
  addTo(refusal: Refusal, method: string, route: string | undefined, scope?: string): Refusal
}

/** Bounds the memory: an app could create rules for each request. */
const maxRoutes = 10_000
const maxScopes = 100

/**
 * Collects the scopes of the rules behind each route, so that a challenge names all scopes and the client asks for one
 * token. The scopes of a `requireIntent` are known after its first request.
 */
export function createKnownScopes(): KnownScopes {
  const scopesByRoute = new Map<string, Set<string>>()
  const keyOf = (method: string, route: string) => `${method === 'HEAD' ? 'GET' : method} ${route}`

  return {
    remember(method, route, scope) {
      // A final `*` covers many handlers, which need different scopes.
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
