import type { CompiledPolicy } from '../../compile/compile-policy.js'
import { toArray } from '../../lib/to-array.js'
import type { CompiledIssuer } from '../../policy/issuer.js'
import type { ClaimConstraint, Limit, Policy, RouteRule } from '../../policy/policy.js'
import { claimsOf, issuersOf, nameOf } from '../issuers.js'

/** A token to be made, and the proof that comes with it. */
export interface TokenSpec {
  /** The `iss`. */
  readonly issuer: string
  readonly audience: string
  /** Undefined: no `typ` in the header. */
  readonly typ: string | undefined
  /** Seconds. */
  readonly lifetime: number
  /** Whether it is bound to the agent's key; else it comes as Bearer. */
  readonly isBound: boolean
  readonly agent: string
  readonly scopes: readonly string[]
  readonly workflow: string | undefined
  readonly step: string | undefined
  readonly completed: readonly string[]
  /** From initiator to executor; undefined: a direct call. */
  readonly chain: readonly string[] | undefined
  readonly isChainSigned: boolean
  readonly initiator: { readonly id: string; readonly type: 'agent' | 'user' } | undefined
  readonly acr: string | undefined
  readonly amr: readonly string[]
  /** Seconds since the person has authenticated; undefined: the token does not say. */
  readonly authAge: number | undefined
  readonly checksum: string | undefined
  readonly registrationId: string | undefined
  /** The constraints of the issuer's entry on its tokens, by JSON pointer. */
  readonly required: Readonly<Record<string, unknown>>
  /** By JSON pointer; undefined: the claim is left out. */
  readonly claims: Readonly<Record<string, unknown>>
  /** Seconds. */
  readonly proofAge: number
}

/**
 * A token that a rule of a policy lets in, as far as one can be made. `wanted`: its agent, instead of one
 * that the rule lists.
 */
export function specFor(
  policy: Policy,
  compiled: CompiledPolicy,
  rule: RouteRule,
  params: Readonly<Record<string, string>>,
  wanted?: string,
): TokenSpec {
  const { readId } = compiled.ruleContext
  const idOf = (entry: string) => {
    const read = readId(entry)
    return typeof read === 'string' ? { issuer: '', id: entry } : read
  }
  const { delegation = {}, user = {} } = rule
  const named =
    rule.agents?.[0] ?? delegation.chains?.[0]?.at(-1) ?? delegation.initiators?.[0] ?? user.sub?.[0]
  const issuer =
    compiled.issuers.get(named === undefined ? '' : idOf(named).issuer) ?? firstOf(compiled.issuers)
  const agent = wanted ?? idOf(rule.agents?.[0] ?? delegation.chains?.[0]?.at(-1) ?? 'test-agent').id
  const step = rule.intent?.step === undefined ? undefined : toArray(rule.intent.step)[0]
  return {
    ...tokenOf(policy, issuer),
    isBound: issuer.profile === 'ajwt' || (compiled.proof.required && issuer.header === undefined),
    agent,
    scopes: scopesOf(rule.scope),
    workflow: rule.intent?.workflow,
    step: step ?? firstStep(policy, rule.intent?.workflow),
    completed: stepsBefore(policy, rule.intent?.workflow, step),
    ...chainFor(delegation, agent, compiled.delegation.signed, (entry) => idOf(entry).id),
    ...(user.sub?.[0] === undefined
      ? {}
      : { initiator: { id: idOf(user.sub[0]).id, type: 'user' } as const }),
    acr: user.acr?.[0],
    amr: user.amr ?? [],
    authAge: user.maxAge === undefined ? undefined : 0,
    ...versionOf(policy, compiled, issuer.name, agent),
    claims: {
      ...claimsForLimits(rule),
      ...Object.fromEntries(
        Object.entries(rule.claims ?? {}).map(([pointer, constraint]) => [
          pointer,
          valueFor(constraint, params),
        ]),
      ),
    },
    proofAge: 0,
  }
}

function firstOf(issuers: ReadonlyMap<string, CompiledIssuer>): CompiledIssuer {
  return [...issuers.values()][0] as CompiledIssuer
}

/** The settings of an issuer's entry for its tokens. */
export function tokenOf(policy: Policy, issuer: CompiledIssuer) {
  const entry = issuersOf(policy).find(([, candidate]) => nameOf(candidate) === issuer.name)?.[1]
  const required = entry === undefined ? {} : claimsOf(entry)
  return {
    issuer: issuer.name,
    audience: [...issuer.audiences][0] ?? '',
    typ: [...issuer.token.types][0],
    lifetime: Math.min(60, issuer.token.maxLifetime),
    required: Object.fromEntries(
      Object.entries(required).map(([pointer, constraint]) => [pointer, valueFor(constraint, {})]),
    ),
  }
}

function scopesOf(scope: RouteRule['scope']): readonly string[] {
  if (scope === undefined) return []
  return typeof scope === 'object' && 'any' in scope ? scope.any.slice(0, 1) : toArray(scope)
}

/** The ids of the steps of a workflow, in order; none where the policy does not list it. */
export function stepsOf(policy: Policy, workflow: string | undefined): readonly string[] {
  const steps = workflow === undefined ? [] : (policy.workflows?.[workflow]?.steps ?? [])
  return steps.map((step) => (typeof step === 'string' ? step : step.id))
}

function firstStep(policy: Policy, workflow: string | undefined): string | undefined {
  return stepsOf(policy, workflow)[0]
}

export function stepsBefore(
  policy: Policy,
  workflow: string | undefined,
  step: string | undefined,
): readonly string[] {
  const steps = stepsOf(policy, workflow)
  return steps.slice(0, Math.max(0, steps.indexOf(step ?? '')))
}

function chainFor(
  { required, chains, initiators }: NonNullable<RouteRule['delegation']>,
  agent: string,
  signed: 'required' | 'optional',
  idOf: (entry: string) => string,
): Pick<TokenSpec, 'chain' | 'isChainSigned' | 'initiator'> {
  const listed = chains?.find((chain) => required !== true || chain.length > 1)?.map(idOf)
  if (listed !== undefined && listed.length > 1)
    return { chain: listed, isChainSigned: signed === 'required', initiator: undefined }
  const first = initiators?.[0] === undefined ? undefined : idOf(initiators[0])
  if (required === true)
    return { chain: [first ?? 'test-initiator', agent], isChainSigned: true, initiator: undefined }
  const initiator = first === undefined ? undefined : ({ id: first, type: 'agent' } as const)
  return { chain: undefined, isChainSigned: false, initiator }
}

function versionOf(policy: Policy, { ruleContext }: CompiledPolicy, issuer: string, agent: string) {
  const entry = Object.entries(policy.agents ?? {}).find(([name]) => {
    const read = ruleContext.readId(name)
    return typeof read !== 'string' && read.issuer === issuer && read.id === agent
  })?.[1]
  return { checksum: entry?.checksums?.[0], registrationId: entry?.registrationIds?.[0] }
}

/** The ids that limits count by, and a budget if the issuer has to sign one. */
function claimsForLimits({ limit }: RouteRule): Record<string, unknown> {
  const claims: Record<string, unknown> = {}
  for (const { per, max } of limit === undefined ? [] : toArray<Limit>(limit)) {
    if (per === 'run') claims['/intent/run_id'] = 'test-run'
    if (per === 'intent') claims['/intent/intent_hash'] = 'test-intent'
    if (typeof max === 'string') claims[max] = 1000
  }
  return claims
}

/** Meets `exists`. */
export const anyValue = 'test'

/** A value that meets a constraint, where there is a simple one. */
export function valueFor(constraint: ClaimConstraint, params: Readonly<Record<string, string>>): unknown {
  const { exists, param, includes, some, min, max } = constraint
  if (exists === false) return undefined
  if (Object.hasOwn(constraint, 'equals')) return constraint.equals
  if (constraint.in !== undefined) return constraint.in[0]
  if (param !== undefined) return params[param]
  if (min !== undefined || max !== undefined) return min ?? max
  if (includes !== undefined) return toArray(includes)
  if (some === undefined) return anyValue
  const element: Record<string, unknown> = {}
  for (const [pointer, inner] of Object.entries(some)) setPointer(element, pointer, valueFor(inner, params))
  return [element]
}

/** Sets, or with undefined removes, what a JSON pointer names. Objects on the way are made. */
export function setPointer(target: Record<string, unknown>, pointer: string, value: unknown): void {
  const names = pointer
    .slice(1)
    .split('/')
    .map((name) => name.replaceAll('~1', '/').replaceAll('~0', '~'))
  const last = names.pop() ?? ''
  let inner = target
  for (const name of names) {
    const next = Object.hasOwn(inner, name) ? inner[name] : undefined
    const object: Record<string, unknown> = typeof next === 'object' && next !== null ? { ...next } : {}
    define(inner, name, object)
    inner = object
  }
  if (value === undefined) delete inner[last]
  else define(inner, last, value)
}

/** Not by assignment, which "__proto__" would take for the prototype. */
function define(target: object, name: string, value: unknown): void {
  Object.defineProperty(target, name, { value, enumerable: true, configurable: true, writable: true })
}
