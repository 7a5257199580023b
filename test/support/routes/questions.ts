import { createVerifier, type Decision, type Policy, type Verifier } from '../../../src/index.js'
import { asExpress, asHono, type Semantics } from './reference.js'
import { fieldsOf, policyOf } from './tokens.js'

export type Routing = NonNullable<Parameters<Verifier['verify']>[0]['routing']>

export const express: Semantics = asExpress
export const hono: Semantics = asHono

export const scoped = { scope: 'right' } as const
export const everyScope = new Set(['right'])

export function verifierOf(routes: Policy['routes'], settings: Partial<Policy> = {}): Verifier {
  return createVerifier({ ...policyOf([]), routes: routes ?? {}, ...settings })
}

/** A request without a token. */
export function ask(
  verifier: Verifier,
  method: string,
  url: string,
  more: { routing?: Routing; headers?: Record<string, string | string[]> } = {},
): Promise<Decision> {
  return verifier.verify({ method, url, headers: {}, ...more })
}

/** A request with a token that has every scope. */
export async function askWithToken(
  verifier: Verifier,
  method: string,
  url: string,
  routing?: Routing,
): Promise<Decision> {
  const headers = Object.fromEntries(await fieldsOf(everyScope))
  return verifier.verify({ method, url, headers, ...(routing === undefined ? {} : { routing }) })
}

/** The matched route of a decision. */
export function routeOf(decision: Decision): string | undefined {
  return decision.outcome === 'allow' ? decision.grant.route : (decision as { route?: string }).route
}
