import { toArray } from '../lib/to-array.js'
import { isHttpUrl, isSecureUrl } from '../lib/url.js'
import { findIssuerProblems } from '../policy/issuer-problems.js'
import type { Problems } from '../policy/problems.js'
import { parseRouteKey } from '../policy/route-key.js'
import { findRouteKeyProblem } from '../policy/route-key-problem.js'
import { findWeakerHeadRules } from '../routing/head.js'
import { shapeOf } from '../routing/table.js'
import { findScopeCircles } from '../rules/scopes.js'
import { findStepsProblem, toSteps } from '../rules/workflow.js'
import type { PolicyParts } from './policy-parts.js'
import { findIdProblem, findNameProblems, findUnreachable } from './unreachable.js'

export { findNameProblems as findHandlerRuleProblems } from './unreachable.js'

/** Reports the mistakes that the schema cannot see, because several keys or names are part of them. */
export function findPolicyProblems(parts: PolicyParts, hasResolver: boolean, problems: Problems): void {
  findCollisions(parts.routeKeys, problems)
  findProblemsOfIssuers(parts, problems)
  findPublicUrlProblems(parts, problems)
  findWorkflowProblems(parts, problems)
  findScopeProblems(parts, problems)
  findAgentProblems(parts, problems)
  findRouteProblems(parts, problems)
  if (!parts.issuerDefaults.isProofRequired && !hasResolver) findUnboundTokens(parts, problems)
}

/** Reports two keys for the same requests. Letter case is ignored, as some routers do. */
function findCollisions(keys: readonly string[], problems: Problems): void {
  const taken = new Map<string, string>()
  for (const key of keys) {
    const route = parseRouteKey(key)
    if (route === undefined || findRouteKeyProblem(key) !== undefined) continue
    for (const method of route.methods) {
      const shape = `${method} ${shapeOf(route.segments)}`
      const other = taken.get(shape)
      if (other !== undefined)
        problems.add(
          ['routes', key],
          `matches the same requests as ${JSON.stringify(other)}: remove one of them`,
          'name',
        )
      taken.set(shape, key)
    }
  }
}

function findProblemsOfIssuers({ data, issuers, issuerDefaults }: PolicyParts, problems: Problems): void {
  const names = new Set<string>()
  const isList = Array.isArray(data.issuer)
  for (const [index, entry] of toArray(data.issuer ?? []).entries()) {
    const place = isList ? ['issuer', index] : ['issuer']
    const issuer = issuers[index]
    if (issuer === undefined) continue
    findIssuerProblems(entry, issuer, issuerDefaults, (path, message) =>
      problems.add([...place, ...path], message),
    )
    if (names.has(issuer.name))
      problems.add(place, 'is the same issuer as an earlier entry: remove one of them')
    names.add(issuer.name)
  }
}

function findPublicUrlProblems({ data }: PolicyParts, problems: Problems): void {
  const urls = toArray(data.publicUrl ?? [])
  if (urls.some((url) => !isSecureUrl(url, data.allowInsecureHttp)))
    problems.add(['publicUrl'], 'must be an https URL (http on loopback only, else see allowInsecureHttp)')
  if (urls.length > 0 || data.audience === undefined || problems.has('publicUrl')) return
  if (!toArray(data.audience).some(isHttpUrl)) {
    problems.add(
      ['publicUrl'],
      'is required if no audience is an http(s) URL: htu of proofs is compared with it',
    )
  }
}

function findWorkflowProblems({ data }: PolicyParts, problems: Problems): void {
  for (const [id, { steps }] of Object.entries(data.workflows ?? {})) {
    const problem = findStepsProblem(toSteps(steps))
    if (problem !== undefined) problems.add(['workflows', id, 'steps'], problem)
  }
}

function findScopeProblems({ data }: PolicyParts, problems: Problems): void {
  for (const scope of findScopeCircles(data.scopes)) {
    problems.add(['scopes', scope], 'includes itself, directly or through another scope: remove one of them')
  }
}

function findAgentProblems({ data, ruleContext }: PolicyParts, problems: Problems): void {
  for (const entry of Object.keys(data.agents ?? {})) {
    const problem = findIdProblem(entry, ruleContext)
    if (problem !== undefined) problems.add(['agents', entry], problem, 'name')
  }
}

function findRouteProblems({ declared, ruleContext, delegation }: PolicyParts, problems: Problems): void {
  for (const { route, access } of declared) {
    if (typeof access === 'string') continue
    const report = (path: readonly PropertyKey[], message: string) =>
      problems.add(['routes', route.key, ...path], message)
    findNameProblems(access, ruleContext, report)
    findUnreachable(access, route, ruleContext, delegation, report)
  }
  findWeakerHeadRules(declared, (key, message) => problems.add(['routes', key], message, 'name'))
}

/** Tokens of profile "ajwt" are always bound to a key. */
function findUnboundTokens({ issuers }: PolicyParts, problems: Problems): void {
  if (issuers.length === 0 || issuers.some(({ profile }) => profile === 'oauth')) return
  problems.add(
    ['proof', 'required'],
    'can only be false if an issuer has profile "oauth": tokens of profile "ajwt" are always bound to a key',
  )
}
