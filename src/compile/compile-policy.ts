import { parsePolicy } from '#policy-parser'
import { findPolicyProblems } from '#policy-problems'
import { normalizePath } from '../dpop/htu.js'
import type { Algorithm } from '../jws/algorithms.js'
import { snapshot } from '../lib/plain-data.js'
import { toArray } from '../lib/to-array.js'
import { isHttpUrl } from '../lib/url.js'
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
import { createIdReader, type ReadId } from '../policy/qualified-id.js'
import { parseRouteKey } from '../policy/route-key.js'
import type { PolicyData, RuleData } from '../policy/schema.js'
import { defaultProofAlgorithmNames } from '../protocol/algorithms.js'
import { type Intents, metadataUrl } from '../response/resource-metadata.js'
import type { ChallengeContext } from '../response/www-authenticate.js'
import type { DeclaredRoute } from '../routing/head.js'
import { createRouteTable, type Route, type RouteTable } from '../routing/table.js'
import { collectLimitWindows } from '../rules/limit.js'
import {
  type AgentConstraint,
  type AgentConstraints,
  compileRule,
  type Rule,
  type RuleContext,
} from '../rules/rule.js'
import { compileScopes } from '../rules/scopes.js'
import { compileWorkflow, findStepsProblem, toSteps, type Workflow } from '../rules/workflow.js'

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
  /** The scopes of the metadata. Default: those that any route needs. */
  readonly scopes: readonly string[]
  /** The intents of the metadata. Undefined if they are not told. */
  readonly intents: Intents | undefined
  readonly challenge: ChallengeContext
}

/** Checks and compiles a policy. Throws PolicyError with all problems. */
export function compilePolicy(policy: Policy, hasResolver = false): CompiledPolicy {
  const { data, routeKeys, problems } = parsePolicy(policy)
  const audiences = toArray(data.audience ?? [])
  const isProofRequired = data.proof?.required ?? true
  const issuerDefaults: IssuerDefaults = {
    token: data.token ?? snapshot<NonNullable<PolicyData['token']>>({}),
    audiences,
    isProofRequired,
    allowInsecureHttp: data.allowInsecureHttp ?? false,
  }
  const issuerList = toArray(data.issuer ?? []).map((entry) => compileIssuer(entry, issuerDefaults))
  const issuers = new Map(issuerList.map((issuer) => [issuer.name, issuer]))
  const { publicUrls, resource } = compilePublicUrls(data, audiences)
  const workflows = compileWorkflows(data.workflows ?? {})
  const token = compileTokenRules(issuerDefaults.token)
  const { clockTolerance } = token
  const readId = createIdReader([...issuers.keys()], hasResolver)
  const ruleContext: RuleContext = Object.freeze({
    policy,
    workflows,
    workflowNames: data.workflows && Object.keys(data.workflows),
    agents: compileAgents(data.agents ?? {}, readId),
    readId,
    clockTolerance,
    includedScopes: compileScopes(data.scopes),
    limitWindows: collectLimitWindows(
      Object.values(data.routes ?? {}).flatMap((access) => (typeof access === 'string' ? [] : [access])),
    ),
  })
  const delegation = compileDelegation(data.delegation)
  const declared = compileRoutes(data.routes ?? {}, ruleContext)
  const routes = declared.map(({ route }) => route)
  const proof = compileProof(data.proof)
  const metadata = compileMetadata(data, routes)
  const parts = { data, routeKeys, issuers: issuerList, issuerDefaults, ruleContext, delegation, declared }
  findPolicyProblems(parts, hasResolver, problems)
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
    ...metadata,
    challenge: Object.freeze({
      proofAlgorithms: [...proof.algorithms.keys()].join(' '),
      resourceMetadata: metadataUrl(resource),
      isBearerAllowed: !isProofRequired,
      areIntentsTold: metadata.intents !== undefined,
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

function compilePublicUrls(
  data: Partial<PolicyData>,
  audiences: readonly string[],
): Pick<CompiledPolicy, 'publicUrls' | 'resource'> {
  const audience = audiences.find(isHttpUrl)
  const urls = data.publicUrl === undefined ? [] : toArray(data.publicUrl)
  const [first] = urls
  if (first !== undefined) return { publicUrls: urls.map(normalizeBase), resource: audience ?? first }
  if (audience !== undefined) return { publicUrls: [new URL(audience).origin], resource: audience }
  return { publicUrls: [], resource: '' }
}

function normalizeBase(url: string): string {
  const { origin } = new URL(url)
  const path = /^[a-z]+:\/\/[^/?#]*([^?#]*)/i.exec(url)?.[1] ?? ''
  const normalized = normalizePath(path === '' ? '/' : path) ?? path
  return `${origin}${normalized.replace(/\/+$/, '')}`
}

function compileMetadata(
  data: Partial<PolicyData>,
  routes: readonly Route[],
): Pick<CompiledPolicy, 'scopes' | 'intents'> {
  const { scopes = routes.flatMap(scopesOf), intents } = data.metadata ?? {}
  return {
    scopes: Object.freeze([...new Set(scopes)]),
    intents: intents === true ? collectIntents(data) : undefined,
  }
}

/** The workflows of the policy with their steps, and those that only rules name. */
function collectIntents({ workflows = {}, routes = {} }: Partial<PolicyData>): Intents {
  const steps = new Map(
    Object.entries(workflows).map(([id, workflow]) => [
      id,
      new Set(toSteps(workflow.steps).map(({ id }) => id)),
    ]),
  )
  for (const access of Object.values(routes)) {
    const intent = typeof access === 'object' ? access.intent : undefined
    if (intent === undefined) continue
    const known = steps.get(intent.workflow) ?? new Set()
    for (const step of toArray(intent.step ?? [])) known.add(step)
    steps.set(intent.workflow, known)
  }
  return Object.freeze([...steps].map(([workflow, ids]) => Object.freeze({ workflow, steps: [...ids] })))
}

/** Leaves out a workflow that is wrong. */
function compileWorkflows(workflows: NonNullable<PolicyData['workflows']>): ReadonlyMap<string, Workflow> {
  const compiled = new Map<string, Workflow>()
  for (const [id, { steps: written }] of Object.entries(workflows)) {
    const steps = toSteps(written)
    if (findStepsProblem(steps) === undefined) compiled.set(id, compileWorkflow(steps))
  }
  return compiled
}

function compileAgents(agents: NonNullable<PolicyData['agents']>, readId: ReadId): AgentConstraints {
  const compiled = new Map<string, Map<string, AgentConstraint>>()
  for (const [entry, { checksums, registrationIds }] of Object.entries(agents)) {
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
): readonly DeclaredRoute[] {
  return Object.entries(routes).flatMap(([key, access]): readonly DeclaredRoute[] => {
    const route = parseRouteKey(key)
    if (route === undefined) return []
    const compiled = typeof access === 'string' ? access : compileRule(access, context, key)
    return [{ route: { ...route, access: compiled }, access }]
  })
}

function isEnforced({ access }: Route): boolean {
  return typeof access === 'object' && access.mode === 'enforce'
}

function scopesOf(route: Route): readonly string[] {
  if (typeof route.access === 'string') return []
  return route.access.scope?.split(' ') ?? []
}
