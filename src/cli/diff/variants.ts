import type { CompiledPolicy } from '../../compile/compile-policy.js'
import { toArray } from '../../lib/to-array.js'
import type { ClaimConstraint, Policy, RouteRule } from '../../policy/policy.js'
import { stepsBefore, stepsOf, type TokenSpec, tokenOf } from '../request/spec.js'
import { longestExample } from './rule-changes.js'

/** One of two policies, with the rule that it has for the request in hand. */
export interface Side {
  readonly policy: Policy
  readonly compiled: CompiledPolicy
  readonly rule: RouteRule
}

/** A way in which a caller may differ from the one that a rule has in mind. */
export interface Variant {
  /** Reads on from "a token". */
  readonly description: string
  readonly spec: TokenSpec
}

/**
 * A caller that a rule has in mind, and every one that differs from it in one thing that either policy speaks
 * of.
 */
export function variantsOf(base: TokenSpec, sides: readonly Side[]): readonly Variant[] {
  const vary = (description: string, change: Partial<TokenSpec>): Variant => ({
    description,
    spec: { ...base, ...change },
  })
  return [
    ...scopeVariants(base, sides).map(([text, scopes]) => vary(text, { scopes })),
    ...intentVariants(sides).map(([text, change]) => vary(text, change)),
    ...agentVariants(base, sides).map(([text, change]) => vary(text, change)),
    ...chainVariants(base, sides).map(([text, change]) => vary(text, change)),
    ...userVariants(sides).map(([text, change]) => vary(text, change)),
    ...claimVariants(sides).map(([text, claims]) => vary(text, { claims: { ...base.claims, ...claims } })),
    ...tokenVariants(base, sides).map(([text, change]) => vary(text, change)),
  ]
}

type Change = readonly [description: string, change: Partial<TokenSpec>]

const unique = <T>(values: readonly T[]): T[] => [...new Set(values)]

function scopesIn({ scope }: RouteRule): readonly string[] {
  if (scope === undefined) return []
  return typeof scope === 'object' && 'any' in scope ? scope.any : toArray(scope)
}

function scopeVariants(
  { scopes }: TokenSpec,
  sides: readonly Side[],
): (readonly [string, readonly string[]])[] {
  const all = unique(sides.flatMap(({ rule }) => scopesIn(rule)))
  const including = unique(
    sides.flatMap(({ compiled }) =>
      all.flatMap((scope) => [...(compiled.ruleContext.includedScopes.get(scope) ?? [])]),
    ),
  ).filter((scope) => !all.includes(scope))
  return [
    ...all.map((scope) => [`without the scope ${scope}`, scopes.filter((other) => other !== scope)] as const),
    ...[...all, ...including].map((scope) => [`with the scope ${scope} alone`, [scope]] as const),
    ['with every scope of both rules', all],
    ['without any scope', []],
  ]
}

function intentVariants(sides: readonly Side[]): Change[] {
  const rules = sides.flatMap(({ rule }) => (rule.intent === undefined ? [] : [rule.intent]))
  const workflows = unique(rules.map(({ workflow }) => workflow))
  if (workflows.length === 0) return []
  const changes: Change[] = [
    ['without a workflow', { workflow: undefined, step: undefined, completed: [] }],
    ['of another workflow', { workflow: 'another-workflow' }],
  ]
  for (const { policy } of sides) {
    for (const workflow of workflows) {
      const written = rules
        .filter((intent) => intent.workflow === workflow)
        .flatMap(({ step }) => toArray(step ?? []))
      for (const step of unique([...stepsOf(policy, workflow), ...written, 'another-step'])) {
        const completed = stepsBefore(policy, workflow, step)
        changes.push([`of workflow ${workflow}, step ${step}`, { workflow, step, completed }])
        for (const left of completed) {
          const others = completed.filter((id) => id !== left)
          changes.push([
            `of workflow ${workflow}, step ${step}, with ${left} left out`,
            { workflow, step, completed: others },
          ])
        }
      }
      changes.push([`of workflow ${workflow}, without a step`, { workflow, step: undefined, completed: [] }])
    }
  }
  return changes
}

function idOf({ compiled }: Side, entry: string): string {
  const read = compiled.ruleContext.readId(entry)
  return typeof read === 'string' ? entry : read.id
}

function agentVariants({ chain }: TokenSpec, sides: readonly Side[]): Change[] {
  const listed = sides.flatMap((side) => (side.rule.agents ?? []).map((entry) => idOf(side, entry)))
  const withAgent = (agent: string): Partial<TokenSpec> =>
    chain === undefined ? { agent } : { agent, chain: [...chain.slice(0, -1), agent] }
  const changes: Change[] = unique(listed).map((agent) => [`of agent ${agent}`, withAgent(agent)])
  changes.push(['of an agent that no rule lists', withAgent('another-agent')])
  for (const side of sides) {
    for (const [entry, { checksums = [], registrationIds = [] }] of Object.entries(
      side.policy.agents ?? {},
    )) {
      const agent = idOf(side, entry)
      for (const checksum of checksums)
        changes.push([
          `of agent ${agent} with checksum ${checksum.slice(0, 19)}…`,
          { ...withAgent(agent), checksum, registrationId: registrationIds[0] },
        ])
      for (const registrationId of registrationIds)
        changes.push([
          `of agent ${agent}, registration ${registrationId}`,
          { ...withAgent(agent), registrationId, checksum: checksums[0] },
        ])
      changes.push([
        `of another version of agent ${agent}`,
        { ...withAgent(agent), checksum: `sha256:${'0'.repeat(64)}` },
      ])
    }
  }
  return changes
}

function chainVariants({ agent }: TokenSpec, sides: readonly Side[]): Change[] {
  const depths = sides.flatMap(({ rule, compiled }) => [
    rule.delegation?.maxDepth,
    compiled.delegation.maxDepth,
  ])
  const deepest = Math.min(longestExample, Math.max(...depths.map((depth) => depth ?? 0)) + 1)
  const hops = Array.from({ length: deepest }, (_, index) => `delegator-${index + 1}`)
  const direct = { chain: undefined, isChainSigned: false, initiator: undefined }
  const changes: Change[] = [['of a direct call', direct]]
  for (let depth = 1; depth <= deepest; depth++) {
    const chain = [...hops.slice(0, depth), agent]
    changes.push([
      `with a chain of ${depth} ${depth === 1 ? 'hop' : 'hops'}`,
      { ...direct, chain, isChainSigned: true },
    ])
  }
  for (const side of sides) {
    const { initiators = [], chains = [] } = side.rule.delegation ?? {}
    for (const entry of initiators) {
      const id = idOf(side, entry)
      changes.push([`with a chain from ${id}`, { ...direct, chain: [id, agent], isChainSigned: true }])
      changes.push([`of a run of ${id}`, { ...direct, initiator: { id, type: 'agent' } }])
    }
    for (const entries of chains.filter((chain) => chain.length > 1)) {
      const chain = entries.map((entry) => idOf(side, entry))
      const change = { ...direct, chain, agent: chain.at(-1) ?? agent }
      changes.push([`with the chain ${chain.join(', ')}, signed`, { ...change, isChainSigned: true }])
      changes.push([`with the hash of the chain ${chain.join(', ')}`, change])
    }
  }
  return changes
}

function userVariants(sides: readonly Side[]): Change[] {
  const users = sides.flatMap((side) =>
    side.rule.user === undefined ? [] : [{ side, user: side.rule.user }],
  )
  if (users.length === 0) return []
  const acrs = unique(users.flatMap(({ user }) => user.acr ?? []))
  const amrs = unique(users.flatMap(({ user }) => user.amr ?? []))
  const ages = unique(users.flatMap(({ user }) => user.maxAge ?? []))
  const people = unique(users.flatMap(({ side, user }) => (user.sub ?? []).map((entry) => idOf(side, entry))))
  return [
    ...acrs.map((acr): Change => [`with acr ${acr}`, { acr }]),
    ['without acr', { acr: undefined }],
    ...amrs.map((amr): Change => [`with amr ${amr} alone`, { amr: [amr] }]),
    ['with every amr of both rules', { amr: amrs }],
    ['without amr', { amr: [] }],
    ...ages.map((authAge): Change => [`whose person authenticated ${authAge} s ago`, { authAge }]),
    ['without auth_time', { authAge: undefined }],
    ...people.map((id): Change => [`of a run of ${id}`, { initiator: { id, type: 'user' } }]),
    ['of a run of another person', { initiator: { id: 'another-person', type: 'user' } }],
  ]
}

/** Values at the edges of every constraint on a claim, and just beyond. */
function claimVariants(sides: readonly Side[]): (readonly [string, Record<string, unknown>])[] {
  const variants: (readonly [string, Record<string, unknown>])[] = []
  for (const pointer of unique(sides.flatMap(({ rule }) => Object.keys(rule.claims ?? {})))) {
    const constraints = sides.flatMap(({ rule }) => rule.claims?.[pointer] ?? [])
    for (const value of unique([...constraints.flatMap(valuesAround), 'another-value']))
      variants.push([`with ${pointer} ${JSON.stringify(value)}`, { [pointer]: value }])
    variants.push([`without ${pointer}`, { [pointer]: undefined }])
  }
  return variants
}

function valuesAround({ equals, in: oneOf = [], min, max, includes }: ClaimConstraint): unknown[] {
  const edges = [min, max].flatMap((edge) => (edge === undefined ? [] : [edge - 1, edge, edge + 1]))
  const elements =
    includes === undefined ? [] : [...toArray(includes).map((item) => [item]), toArray(includes)]
  return [...(equals === undefined ? [] : [equals]), ...oneOf, ...edges, ...elements]
}

/** The settings of a policy for all tokens and proofs. */
function tokenVariants(base: TokenSpec, sides: readonly Side[]): Change[] {
  const ordinary = { ...base.claims, '/intent': undefined, '/agent_proof': undefined }
  const changes: Change[] = [
    ['as Bearer, bound to no key', { isBound: false }],
    ['of an ordinary OAuth client, without intent and agent_proof', { claims: ordinary }],
  ]
  for (const { policy, compiled } of sides) {
    for (const issuer of compiled.issuers.values()) {
      const of = { ...tokenOf(policy, issuer) }
      changes.push([`of issuer ${issuer.name}`, of])
      for (const typ of issuer.token.types)
        changes.push([`of issuer ${issuer.name}, typ ${typ}`, { ...of, typ }])
      if (issuer.token.allowsNoType)
        changes.push([`of issuer ${issuer.name}, without typ`, { ...of, typ: undefined }])
      for (const audience of issuer.audiences)
        changes.push([`of issuer ${issuer.name}, for ${audience}`, { ...of, audience }])
      const lifetime = issuer.token.maxLifetime
      changes.push([`of issuer ${issuer.name} that lives for ${lifetime} s`, { ...of, lifetime }])
    }
    changes.push([`with a proof that is ${compiled.proof.maxAge} s old`, { proofAge: compiled.proof.maxAge }])
  }
  return changes
}
