import { compilePolicy } from '../src/compile/compile-policy.js'
import type { Policy } from '../src/policy/policy.js'
import { type AppHandler, type KeyLookup, type RouteReport, reportRoutes } from '../src/routing/coverage.js'
import { engineOf, isVerifier, type Verifier } from '../src/verifier.js'

export type { AppHandler, RouteReport }

/** Of every copy of the package in the process. */
const mark = Symbol.for('ajwt/middleware')

/** A prototype, because a bound function has that of its target, and nothing else of it: Fastify binds hooks. */
const prototype = Object.create(Function.prototype, { [mark]: { value: true } }) as object

/** Makes a middleware that `verifyRoutes` recognizes as `ajwt`. */
export function markAsAjwt<T extends object>(middleware: T): T {
  return Object.setPrototypeOf(middleware, prototype) as T
}

/** Whether something is what `ajwt` returns, in this copy of the package or in another. */
export function isAjwt(value: unknown): boolean {
  return typeof value === 'function' && mark in value
}

/** Compares the handlers of an app with a policy. Throws a PolicyError if the policy is wrong. */
export function compareRoutes(
  policyOrVerifier: Policy | Verifier,
  handlers: readonly AppHandler[],
  lookup: KeyLookup,
): RouteReport {
  const isMade = isVerifier(policyOrVerifier)
  const policy = isMade ? policyOrVerifier.policy : policyOrVerifier
  const { unmatched } = isMade ? engineOf(policyOrVerifier).compiled : compilePolicy(policy)
  return reportRoutes(Object.keys(policy.routes), unmatched, handlers, lookup)
}

/** A pattern below a mount path. The slash of a root, of either, is none. */
export function joinPaths(mount: string, path: string): string {
  if (path === '' || path === '/') return mount === '' ? '/' : mount
  return mount.replace(/\/$/, '') + (path.startsWith('/') || path.startsWith('{') ? path : `/${path}`)
}

/** Whether every path below one pattern, written in literals and parameters, is below another. */
export function isBelow(path: string, mount: string): boolean {
  const texts = path.split('/')
  const wanted = mount.replace(/\/(\*\w*|\{\*\w+\})?$/, '').split('/')
  return wanted.every((text, at) => {
    if (/[*{}()?]/.test(text)) return false
    return (text.startsWith(':') && texts[at] !== undefined) || text === texts[at]
  })
}
