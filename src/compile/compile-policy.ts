import { parsePolicy } from '#policy-parser'
import { normalizePath } from '../dpop/htu.js'
import type { Algorithm } from '../jws/algorithms.js'
import { snapshot } from '../lib/plain-data.js'
import { toArray } from '../lib/to-array.js'
import { isHttpUrl, isSecureUrl } from '../lib/url.js'
import {
  type CompiledIssuer,
  compileIssuer,
  compileTokenRules,
  type IssuerDefaults,
  selectAlgorithms,
  type TokenRules,
  uniteTokenRules,
} from '../policy/issuer.js'
import type { Policy } from '../policy/policy.js'
import type { Problems } from '../policy/problems.js'
import { createIdReader, type ReadId } from '../policy/qualified-id.js'
import { parseRouteKey } from '../policy/route-key.js'
import type { PolicyData, RuleData } from '../policy/schema.js'
import { defaultProofAlgorithmNames } from '../protocol/algorithms.js'
import { metadataUrl } from '../response/resource-metadata.js'
import type { ChallengeContext } from '../response/www-authenticate.js'
import { type DeclaredRoute, findWeakerHeadRules } from '../routing/head.js'
import { createRouteTable, type Route, type RouteTable, shapeOf } from '../routing/table.js'
import { collectLimitWindows } from '../rules/limit.js'
import {
  type AgentConstraint,
  type AgentConstraints,
  compileRule,
  type Rule,
  type RuleContext,
} from '../rules/rule.js'
import { compileWorkflow, maxOptionalSteps, type Workflow, type WorkflowStep } from '../rules/workflow.js'
import { findIdProblem, findNameProblems, findUnreachable } from './unreachable.js'

export type { CompiledIssuer } from '../policy/issuer.js'

/** A policy with all defaults filled in, compiled to sets, maps and checks. */
export interface CompiledPolicy {
  readonly issuers: ReadonlyMap<string, CompiledIssuer>
  readonly audiences: ReadonlySet<string>
  /** Normalised origins with path prefix, without a trailing slash. */
  readonly publicUrls: readonly string[]
  /** The resource identifier of RFC 9728. */
  readonly resource: string
  readonly mode: 'enforce' | 'observe'
  /** Whether no route is enforced, by the policy or by its own rule. */
  readonly areAllRoutesObserved: boolean
  readonly preflight: boolean
  readonly unmatched: 'deny' | 'authenticate' | 'public'
  readonly token: TokenRules
  /** All that is allowed for the tokens of any issuer. Applies to tokens of unknown issuers. */
  readonly anyToken: TokenRules
  /** For entries that `resolveIssuer` returns. */
  readonly issuerDefaults: IssuerDefaults
  /** Request fields for tokens besides `Authorization`, in lower case. */
  readonly tokenFields: readonly string[]
  readonly proof: {
    readonly required: boolean
    readonly algorithms: ReadonlyMap<string, Algorithm>
    readonly maxAge: number
    readonly nonce: 'off' | 'required'
  }
  readonly delegation: { readonly maxDepth: number; readonly signed: 'required' | 'optional' }
  readonly ruleContext: RuleContext
  /** The rule of `'authenticated'` and of `unmatched: 'authenticate'`: checks only `agents` of the policy. */
  readonly authenticated: Rule
  readonly routes: RouteTable
  /** The scopes that any route needs. */
  readonly scopes: readonly string[]
  readonly challenge: ChallengeContext
}

/** Checks and compiles a policy. Throws PolicyError with all problems. */
export function compilePolicy(policy: Policy, hasResolver = false): CompiledPolicy {
  const { data, routeKeys, problems } = parsePolicy(policy)
  findCollisions(routeKeys, problems)
  const audiences = toArray(data.audience ?? [])
  const isProofRequired = data.proof?.required ?? true
  const issuerDefaults: IssuerDefaults = {
    token: data.token ?? snapshot<NonNullable<PolicyData['token']>>({}),
    audiences,
    isProofRequired,
    allowInsecureHttp: data.allowInsecureHttp ?? false,
  }
  const issuers = compileIssuers(data.issuer, issuerDefaults, problems)
  const { publicUrls, resource } = compilePublicUrls(data, audiences, problems)
  const workflows = compileWorkflows(data.workflows ?? {}, problems)
  const token = compileTokenRules(issuerDefaults.token)
  const { clockTolerance } = token
  const readId = createIdReader([...issuers.keys()], hasResolver)
  const ruleContext: RuleContext = Object.freeze({
    workflows,
    workflowNames: data.workflows && Object.keys(data.workflows),
    agents: compileAgents(data.agents ?? {}, readId, problems),
    readId,
    clockTolerance,
    limitWindows: collectLimitWindows(
      Object.values(data.routes ?? {}).flatMap((access) => (typeof access === 'string' ? [] : [access])),
    ),
  })
  const delegation = compileDelegation(data.delegation)
  const routes = compileRoutes(data.routes ?? {}, ruleContext, delegation, problems)
  const proof = compileProof(data.proof)
  if (!isProofRequired && !hasResolver) checkUnboundTokens(issuers, problems)
  problems.throwIfAny()

  return Object.freeze({
    issuers,
    audiences: new Set(audiences),
    publicUrls: Object.freeze(publicUrls),
    resource,
    mode: data.mode ?? 'enforce',
    areAllRoutesObserved: data.mode === 'observe' && !routes.some(isEnforced),
    preflight: data.preflight ?? false,
    unmatched: data.unmatched ?? 'deny',
    token,
    anyToken: uniteTokenRules([token, ...[...issuers.values()].map((issuer) => issuer.token)]),
    issuerDefaults: Object.freeze(issuerDefaults),
    tokenFields: Object.freeze([...new Set([...issuers.values()].flatMap(({ header }) => header ?? []))]),
    proof,
    delegation,
    ruleContext,
    authenticated: compileRule(snapshot<RuleData>({}), ruleContext, 'authenticated'),
    routes: createRouteTable(routes),
    scopes: Object.freeze([...new Set(routes.flatMap(scopesOf))]),
    challenge: Object.freeze({
      proofAlgorithms: [...proof.algorithms.keys()].join(' '),
      resourceMetadata: metadataUrl(resource),
      isBearerAllowed: !isProofRequired,
    }),
  })
}

function compileDelegation(written: PolicyData['delegation']): CompiledPolicy['delegation'] {
  return Object.freeze({ maxDepth: written?.maxDepth ?? 4, signed: written?.signed ?? 'optional' })
}

function compileProof(written: PolicyData['proof']): CompiledPolicy['proof'] {
  return Object.freeze({
    required: written?.required ?? true,
    algorithms: selectAlgorithms(written?.algorithms ?? defaultProofAlgorithmNames),
    maxAge: written?.maxAge ?? 60,
    nonce: written?.nonce ?? 'off',
  })
}

/** Tokens of profile "ajwt" are always bound to a key. */
function checkUnboundTokens(issuers: CompiledPolicy['issuers'], problems: Problems): void {
  if (issuers.size === 0 || [...issuers.values()].some(({ profile }) => profile === 'oauth')) return
  problems.add(
    ['proof', 'required'],
    'can only be false if an issuer has profile "oauth": tokens of profile "ajwt" are always bound to a key',
  )
}

function compileIssuers(
  value: Partial<PolicyData>['issuer'],
  defaults: IssuerDefaults,
  problems: Problems,
): ReadonlyMap<string, CompiledIssuer> {
  const issuers = new Map<string, CompiledIssuer>()
  if (value === undefined) return issuers
  const isList = Array.isArray(value)
  for (const [index, item] of toArray(value).entries()) {
    const place = isList ? ['issuer', index] : ['issuer']
    const issuer = compileIssuer(item, defaults, (path, message) =>
      problems.add([...place, ...path], message),
    )
    if (issuers.has(issuer.name))
      problems.add(place, 'is the same issuer as an earlier entry: remove one of them')
    issuers.set(issuer.name, issuer)
  }
  return issuers
}

function compilePublicUrls(
  data: Partial<PolicyData>,
  audiences: readonly string[],
  problems: Problems,
): Pick<CompiledPolicy, 'publicUrls' | 'resource'> {
  const audience = audiences.find(isHttpUrl)
  const urls = data.publicUrl === undefined ? [] : toArray(data.publicUrl)
  if (urls.some((url) => !isSecureUrl(url, data.allowInsecureHttp)))
    problems.add(['publicUrl'], 'must be an https URL (http on loopback only, else see allowInsecureHttp)')
  const [first] = urls
  if (first !== undefined) return { publicUrls: urls.map(normalizeBase), resource: audience ?? first }
  if (audience !== undefined) return { publicUrls: [new URL(audience).origin], resource: audience }
  if (data.audience !== undefined && !problems.has('publicUrl')) {
    problems.add(
      ['publicUrl'],
      'is required if no audience is an http(s) URL: htu of proofs is compared with it',
    )
  }
  return { publicUrls: [], resource: '' }
}

function normalizeBase(url: string): string {
  const { origin } = new URL(url)
  const path = /^[a-z]+:\/\/[^/?#]*([^?#]*)/i.exec(url)?.[1] ?? ''
  const normalized = normalizePath(path === '' ? '/' : path) ?? path
  return `${origin}${normalized.replace(/\/+$/, '')}`
}

function compileWorkflows(
  workflows: NonNullable<PolicyData['workflows']>,
  problems: Problems,
): ReadonlyMap<string, Workflow> {
  const compiled = new Map<string, Workflow>()
  for (const [id, { steps: written }] of Object.entries(workflows)) {
    const steps: WorkflowStep[] = written.map((step) =>
      typeof step === 'string'
        ? { id: step, optional: false }
        : { id: step.id, optional: step.optional === true },
    )
    const place = ['workflows', id, 'steps']
    if (new Set(steps.map((step) => step.id)).size < steps.length)
      problems.add(place, 'names a step twice: give each step its own id')
    else if (steps.filter((step) => step.optional).length > maxOptionalSteps) {
      problems.add(place, `has more than ${maxOptionalSteps} optional steps: split the workflow`)
    } else compiled.set(id, compileWorkflow(steps))
  }
  return compiled
}

function compileAgents(
  agents: NonNullable<PolicyData['agents']>,
  readId: ReadId,
  problems: Problems,
): AgentConstraints {
  const compiled = new Map<string, Map<string, AgentConstraint>>()
  for (const [entry, { checksums, registrationIds }] of Object.entries(agents)) {
    const problem = findIdProblem(entry, { readId })
    if (problem !== undefined) problems.add(['agents', entry], problem, 'name')
    const read = readId(entry)
    if (typeof read === 'string') continue
    const agentsOfIssuer = compiled.get(read.issuer) ?? new Map<string, AgentConstraint>()
    agentsOfIssuer.set(read.id, {
      checksums: checksums && new Set(checksums),
      registrationIds: registrationIds && new Set(registrationIds),
    })
    compiled.set(read.issuer, agentsOfIssuer)
  }
  return compiled
}

function compileRoutes(
  routes: NonNullable<PolicyData['routes']>,
  context: RuleContext,
  delegation: CompiledPolicy['delegation'],
  problems: Problems,
): readonly Route[] {
  const declared: DeclaredRoute[] = []
  for (const [key, access] of Object.entries(routes)) {
    const route = parseRouteKey(key)
    if (typeof route === 'string') continue
    const place = ['routes', key]
    if (typeof access === 'string') declared.push({ route: { ...route, access }, access })
    else {
      const report = (path: readonly PropertyKey[], message: string) =>
        problems.add([...place, ...path], message)
      findNameProblems(access, context, report)
      findUnreachable(access, route, context, delegation, report)
      declared.push({ route: { ...route, access: compileRule(access, context, key) }, access })
    }
  }
  findWeakerHeadRules(declared, (key, message) => problems.add(['routes', key], message, 'name'))
  return declared.map(({ route }) => route)
}

/** Reports two keys for the same requests. Letter case is ignored, as some routers do. */
function findCollisions(keys: readonly string[], problems: Problems): void {
  const taken = new Map<string, string>()
  for (const key of keys) {
    const route = parseRouteKey(key)
    if (typeof route === 'string') continue
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

function isEnforced({ access }: Route): boolean {
  return typeof access === 'object' && access.mode === 'enforce'
}

function scopesOf(route: Route): readonly string[] {
  if (typeof route.access === 'string') return []
  return route.access.scope?.split(' ') ?? []
}
