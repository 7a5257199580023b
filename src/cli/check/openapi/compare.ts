import type { Policy } from '../../../policy/policy.js'
import { createRouteTable, type Route, type RouteTable } from '../../../routing/table.js'
import type { Finding, Report } from '../finding.js'
import { everySemantics, routesOf } from '../route-lints.js'
import type { OpenApi, Operation } from './read.js'

/** Compares the operations of a document with the keys of a policy, both ways. */
export function compareWithOpenApi(policy: Policy, api: OpenApi, report: Report): Finding[] {
  const routes = routesOf(policy)
  const table = createRouteTable(routes)
  // Whether the app sees the prefix of the server depends on what stands in front of it: the better reading
  // counts.
  const readings = api.bases.map((base) =>
    api.operations.map((operation) => findRoute(table, operation, operation.bases ?? [base])),
  )
  const isFound = (route: Route | undefined) => route !== undefined
  const best = readings.reduce((one, other) =>
    other.filter(isFound).length > one.filter(isFound).length ? other : one,
  )
  const answered = new Set(best)
  for (const { key } of routes.filter((route) => !answered.has(route)))
    report('rule-without-operation', ['routes', key], `no operation of ${api.file} comes to this key`)
  return api.operations.flatMap((operation, index) => findProblems(operation, best[index], policy))
}

function findProblems(
  { method, path, place, security }: Operation,
  route: Route | undefined,
  policy: Policy,
): Finding[] {
  if (route === undefined) {
    const message = `${method} ${path}: no key of routes is for this operation, so that it is denied`
    const isOpen = policy.unmatched !== undefined && policy.unmatched !== 'deny'
    const text = isOpen ? message.replace('it is denied', `unmatched "${policy.unmatched}" decides`) : message
    return [{ ...place, message: text, lint: 'operation-without-rule' }]
  }
  const access = policy.routes[route.key]
  if (access !== 'public' || security.kind === 'none') return []
  const message = `${method} ${path}: the operation has security, and ${JSON.stringify(route.key)} is public`
  return [{ ...place, message, lint: 'secured-operation-public' }]
}

function findRoute(
  table: RouteTable,
  { method, path }: Operation,
  bases: readonly string[],
): Route | undefined {
  const sample = path.replace(/[?#].*$/s, '').replaceAll(/\{[^}]*\}/g, 'any-1')
  return bases
    .flatMap((base) => everySemantics.map((semantics) => table.findRoute(method, base + sample, semantics)))
    .find((route) => route)
}
