import { compilePolicy } from '../../compile/compile-policy.js'
import type { Decision } from '../../decision.js'
import type { Policy } from '../../policy/policy.js'
import { describe } from '../../refusal.js'
import { createRouteTable } from '../../routing/table.js'
import { everySemantics, routesOf } from '../check/route-lints.js'
import type { CapturedRequest } from '../request/captured.js'

/** A request as the API sees it: clients know its URLs under `publicUrl`, whose path a proxy strips. */
export function asApiSees(policy: Policy, captured: CapturedRequest): CapturedRequest {
  const { publicUrls } = compilePolicy(policy)
  const base = publicUrls.find((url) => captured.url.startsWith(`${url}/`))
  return base === undefined ? captured : { ...captured, url: captured.url.slice(base.length) }
}

/**
 * For a path that no key matches: the key that does without its first segments. A proxy strips these, most
 * probably, and the recording is that of a client.
 */
export function findHint(
  policy: Policy,
  { method, url }: CapturedRequest,
  decision: Decision,
): string | undefined {
  if (!('code' in decision) || decision.code !== 'route_not_declared' || !URL.canParse(url)) return undefined
  const { origin, pathname } = new URL(url)
  const table = createRouteTable(routesOf(policy))
  const segments = pathname.split('/').slice(1)
  for (let left = 1; left < segments.length; left++) {
    const path = `/${segments.slice(left).join('/')}`
    const route = everySemantics
      .map((semantics) => table.findRoute(method, path, semantics))
      .find((found) => found)
    if (route === undefined) continue
    // A path may contain a token.
    const prefix = describe(`/${segments.slice(0, left).join('/')}`)
    return `${JSON.stringify(route.key)} matches the path without ${prefix}. Where a proxy strips this prefix, set publicUrl to "${origin}${prefix}"; where the app is mounted under it, write the prefix into the keys.`
  }
  return undefined
}
