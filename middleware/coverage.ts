import { compilePolicy } from '../src/compile/compile-policy.js'
import type { Policy } from '../src/policy/policy.js'
import { type AppHandler, type KeyLookup, type RouteReport, reportRoutes } from '../src/routing/coverage.js'
import { engineOf, isVerifier, type Verifier } from '../src/verifier.js'

export type { AppHandler, RouteReport }

/** The same symbol in every copy of the package. */
const mark = Symbol.for('ajwt/middleware')

/**
 * On a prototype, because Fastify binds hooks, and a bound function only keeps the prototype of its target.
 */
const prototype: object = Object.create(Function.prototype, { [mark]: { value: true } })

/** Makes a middleware that `verifyRoutes` recognizes as `ajwt`. */
export function markAsAjwt<T extends object>(middleware: T): T {
  return Object.setPrototypeOf(middleware, prototype)
}

/** Whether the value is a middleware of `ajwt`, from any copy of the package. */
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

/** For an argument that is no app: its handlers would silently be none. */
export function refuseApp(expected: string): never {
  throw new TypeError(`verifyRoutes takes ${expected} as its first argument, and the policy as its second`)
}

/** The pattern below a mount path. A root path adds no slash. */
export function joinPaths(mount: string, path: string): string {
  if (path === '' || path === '/') return mount === '' ? '/' : mount
  return mount.replace(/\/$/, '') + (path.startsWith('/') || path.startsWith('{') ? path : `/${path}`)
}

/** Whether every path of the first pattern, and below it, is below the second. `''` is the root. */
export function isBelow(path: string, mount: string): boolean {
  return beginsWith(path.split('/'), mount.split('/'))
}

/** Whether every path of the first pattern is a path of the second. */
export function isAt(path: string, pattern: string): boolean {
  const [texts, wanted] = [path.split('/'), pattern.split('/')]
  return texts.length === wanted.length && beginsWith(texts, wanted)
}

// A segment with one of these may match nothing, several segments, or only some values.
const special = /[*{}()?]/

function beginsWith(texts: readonly string[], wanted: readonly string[]): boolean {
  return wanted.every((text, at) => {
    const given = texts[at] ?? ''
    if (special.test(text)) return false
    return text === given || (text.startsWith(':') && given !== '' && !special.test(given))
  })
}
