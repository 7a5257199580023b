import { latestDecisions } from '../connection/latest-decision.js'
import type { Decision } from '../decision.js'
import type { VerifierOptions } from '../options.js'
import { PolicyError, type PolicyIssue, toIssue } from '../policy/error.js'
import type { Policy, RouteRule } from '../policy/policy.js'
import { isLiteral, parseRouteKey, type RouteKey } from '../policy/route-key.js'
import { loosestReading } from '../request/path.js'
import { createVerifier, isVerifier, type Verifier } from '../verifier.js'

/** A policy for `protectMcp`: without `routes`, whoever has authenticated may use the MCP server. */
export type McpPolicy = Omit<Policy, 'routes'> & Partial<Pick<Policy, 'routes'>>

/** One MCP server of an app. */
export interface ProtectedPath {
  readonly verifier: Verifier
  /** Whether a request, which `ajwt` has let through, may be one to the MCP server. */
  isMcp(source: object): Promise<boolean>
}

/** The methods of the transport. */
const methods = ['POST', 'GET', 'DELETE'] as const

/** Makes the verifier of an MCP server. Throws a PolicyError for a wrong policy, path or option. */
export function protectPath(
  policyOrVerifier: McpPolicy | Verifier,
  path: string,
  options: VerifierOptions,
): ProtectedPath {
  checkPath(path)
  const verifier = toVerifier(policyOrVerifier, path, options)
  const loosePath = loosestReading(path).toLowerCase()
  return {
    verifier,
    async isMcp(source) {
      const cached = latestDecisions.get(source)
      // Unknown: checked, and then refused.
      if (cached?.path === undefined || cached.path === '') return true
      const requested = readLoosely(cached.path)
      if (requested === undefined || requested === loosePath) return true
      // A handler that is mounted with `app.use(path, ...)` also answers what is below.
      return requested.startsWith(`${loosePath}/`) && !isOwnEndpoint(routeOf(await cached.decision), path)
    },
  }
}

/** Whether a key names a path below the MCP server. `/mcp/*`, `/mcp/:id` and `/*` do not. */
function isOwnEndpoint(route: string | undefined, path: string): boolean {
  const below = `${path}/`.toLowerCase()
  return route?.toLowerCase().startsWith(below) === true && !/^[:*]/.test(route.slice(below.length))
}

function routeOf(decision: Decision): string | undefined {
  return decision.outcome === 'allow' ? decision.grant.route : decision.route
}

function readLoosely(path: string): string | undefined {
  try {
    return loosestReading(path).toLowerCase()
  } catch {
    return undefined
  }
}

function toVerifier(
  policyOrVerifier: McpPolicy | Verifier,
  path: string,
  options: VerifierOptions,
): Verifier {
  if (!isVerifier(policyOrVerifier)) return createVerifier(withMcpRoutes(policyOrVerifier, path), options)
  if (Object.keys(options).length > 0)
    throw new PolicyError([
      { path: 'options', message: 'belong to createVerifier where a verifier is given' },
    ])
  const { missing } = findKeys(policyOrVerifier.policy, path)
  if (missing.length > 0)
    throw new PolicyError([
      toIssue(['routes'], `must have the key "${missing.join(',')} ${path}" for the MCP server`),
    ])
  return policyOrVerifier
}

/**
 * The policy with a key for each method of the transport: those that it lacks get the rule of POST, or else
 * need no more than authentication.
 */
function withMcpRoutes(policy: McpPolicy, path: string): Policy {
  const { routes = {} } = policy
  const { missing, post } = findKeys({ routes }, path)
  // The object itself: `checkedPolicy` knows it by identity.
  if (missing.length === 0 && hasRoutes(policy)) return policy
  const rule: 'public' | 'authenticated' | RouteRule = (post && routes[post.key]) ?? 'authenticated'
  return { ...policy, routes: { ...routes, [`${missing.join(',')} ${path}`]: rule } }
}

function hasRoutes(policy: McpPolicy): policy is Policy {
  return policy.routes !== undefined
}

interface McpKeys {
  /** The methods that no key with this path names. */
  readonly missing: readonly string[]
  readonly post: RouteKey | undefined
}

function findKeys({ routes }: Pick<Policy, 'routes'>, path: string): McpKeys {
  const keys = Object.keys(routes).flatMap((key) => parseRouteKey(key) ?? [])
  const own = keys.filter((key) => key.path === path)
  const has = (method: string) => (key: RouteKey) => key.methods.includes(method) || key.methods.includes('*')
  const missing = methods.filter((method) => !own.some(has(method)))
  const issues: PolicyIssue[] = keys
    .filter((key) => !own.includes(key) && missing.some((method) => has(method)(key)) && mayMatch(key, path))
    .map(({ key }) =>
      toIssue(
        ['routes', key],
        `also matches the MCP server: give "${missing.join(',')} ${path}" a rule of its own`,
      ),
    )
  if (issues.length > 0) throw new PolicyError(issues)
  return { missing, post: own.find(has('POST')) }
}

/** Whether the pattern of a key matches the path in some framework. */
function mayMatch({ segments }: RouteKey, path: string): boolean {
  const texts = path
    .toLowerCase()
    .split('/')
    .filter((text) => text !== '')
  const isWildcard = segments.at(-1)?.kind === 'wildcard'
  const fixed = isWildcard ? segments.slice(0, -1) : segments
  if (isWildcard ? texts.length < fixed.length : texts.length !== fixed.length) return false
  return fixed.every((segment, at) => segment.kind === 'param' || literalOf(segment) === texts[at])
}

function literalOf(segment: RouteKey['segments'][number]): string | undefined {
  return segment.kind === 'literal' ? segment.text.toLowerCase() : undefined
}

function checkPath(path: unknown): void {
  const isPath =
    typeof path === 'string' && /^(\/[^/]+)+$/.test(path) && path.slice(1).split('/').every(isLiteral)
  if (isPath) return
  throw new PolicyError([
    {
      path: 'options.path',
      message: 'must be the path of the MCP server from the root of the app, such as "/mcp"',
    },
  ])
}
