import { isSecureUrl } from '../../../lib/url.js'
import { registeredMethods } from '../../../policy/methods.js'
import type { Policy } from '../../../policy/policy.js'
import { isLiteral } from '../../../policy/route-key.js'
import type { OpenApi } from './read.js'
import type { Security } from './security.js'
import { basePathOf } from './servers.js'

/** A first policy for an API, from its document. A person has to review it. */
export function firstPolicy(api: OpenApi): Policy {
  const routes = new Map<string, { key: string; security: Security }>()
  for (const { method, path, security } of api.operations) {
    if (!registeredMethods.some((name) => name === method)) continue
    const pattern = toPattern(path)
    const shape = `${method} ${shapeOf(pattern)}`
    const known = routes.get(shape)
    routes.set(shape, {
      key: known?.key ?? `${method} ${pattern}`,
      security: known === undefined ? security : stricterOf(known.security, security),
    })
  }
  // GET stands for HEAD too, and HEAD may not be weaker.
  for (const shape of routes.keys())
    if (shape.startsWith('HEAD ') && routes.has(shape.replace('HEAD', 'GET'))) routes.delete(shape)
  const audience = audienceOf(api)
  const policy = {
    issuer: api.issuer ?? 'https://as.example.com',
    audience,
    routes: Object.fromEntries([...routes.values()].map(({ key, security }) => [key, accessFor(security)])),
  }
  return basePathOf(audience) === '' ? policy : { ...policy, publicUrl: audience }
}

/** The first server, under https unless it is on this machine: a policy takes no other URL. */
function audienceOf({ server }: OpenApi): string {
  if (server === undefined || !URL.canParse(server)) return 'https://api.example.com'
  const { origin } = new URL(isSecureUrl(server) ? server : server.replace(/^http:/, 'https:'))
  return origin + basePathOf(server)
}

type Access = 'public' | 'authenticated' | { scope: string | string[] | { any: string[] } }

function accessFor(security: Security): Access {
  if (security.kind === 'none') return 'public'
  const [only, ...more] = security.scopes
  if (only === undefined) return 'authenticated'
  if (security.kind === 'any') return { scope: { any: [only, ...more] } }
  return { scope: more.length === 0 ? only : [only, ...more] }
}

/** Of two operations that one key is for: `/orders/{id}` and `/orders/{order}`, or `/orders/{id}:cancel`. */
function stricterOf(one: Security, other: Security): Security {
  if (one.kind === 'none') return other
  if (other.kind === 'none') return one
  return { kind: 'all', scopes: [...new Set([...one.scopes, ...other.scopes])] }
}

/** Keys of one shape match the same requests in some router. */
function shapeOf(pattern: string): string {
  return pattern
    .replaceAll(/:\w+/g, ':')
    .toLowerCase()
    .replace(/(?<=.)\/$/, '')
}

/** `/orders/{order-id}` as a policy writes it. A segment that is more than a parameter becomes one. */
function toPattern(path: string): string {
  const names = new Set<string>()
  const [withoutQuery = ''] = path.split(/[?#]/, 1)
  const segments = withoutQuery.split('/').map((segment, index, all) => {
    // The greedy parameter of AWS API Gateway.
    if (index === all.length - 1 && /^\{[^}]+\+\}$/.test(segment)) return '*'
    const [, written = ''] = /\{([^}]*)\}/.exec(segment) ?? []
    if (written === '' && (segment === '' || isLiteral(segment))) return segment
    let name = written.replaceAll(/\W+/g, '_').replace(/^(?=\d|$)/, 'p')
    while (names.has(name)) name += '_'
    names.add(name)
    return `:${name}`
  })
  return segments.join('/')
}
