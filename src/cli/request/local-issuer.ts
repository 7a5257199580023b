import { randomUUID } from 'node:crypto'
import type { CompiledPolicy } from '../../compile/compile-policy.js'
import type { Json } from '../../lib/json.js'
import type { CompiledIssuer } from '../../policy/issuer.js'
import { parsePointer, resolvePointer } from '../../policy/json-pointer.js'
import type { Policy } from '../../policy/policy.js'
import { type AgentRegistry, createAgents } from '../../testing/agent.js'
import { generateKey, type TestKey } from '../../testing/key.js'
import { createTokenFactory, type TokenClaims } from '../../testing/token-factory.js'
import type { TestDelegation } from '../../testing/types.js'
import { withIssuers } from '../issuers.js'
import { anyValue, setPointer, type TokenSpec } from './spec.js'

/** Signs in the place of every issuer of a policy: with a key of its own, for trying out. */
export interface LocalIssuer {
  /** The public key, as a JWK Set. */
  readonly jwks: { readonly keys: Record<string, unknown>[] }
  /** The header fields of a request: token and proof. `url` is what the proof is for. */
  sign(
    compiled: CompiledPolicy,
    spec: TokenSpec,
    request: { readonly method: string; readonly url: string; readonly nonce?: string | undefined },
  ): Record<string, string>
  /** The same policy, which trusts this key for every issuer. */
  trustedBy(policy: Policy): Policy
}

const kid = 'ajwt-local'

export function createLocalIssuer(now: () => number, key: TestKey = generateKey()): LocalIssuer {
  const byAudience = new Map<string, AgentRegistry>()
  const jwks = { keys: [{ ...key.jwk, kid, alg: 'ES256', use: 'sig' }] }

  function agentsFor(audience: string): AgentRegistry {
    const agents = byAudience.get(audience) ?? createAgents(audience, now)
    byAudience.set(audience, agents)
    return agents
  }

  return {
    jwks,
    sign(compiled, spec, { method, url, nonce }) {
      const entry = compiled.issuers.get(spec.issuer) as CompiledIssuer
      const agents = agentsFor(spec.audience)
      const factory = createTokenFactory({
        issuer: spec.issuer,
        audience: spec.audience,
        publicUrl: url,
        key,
        kid,
        agents,
        now,
      })
      const delegation = spec.chain !== undefined && spec.isChainSigned ? delegate(agents, spec) : undefined
      const claims = factory.claims({
        agent: spec.agent,
        scope: spec.scopes,
        intent: intentOf(spec),
        ...(delegation === undefined ? {} : { delegation }),
      })
      const token = factory.sign(complete(claims, spec, entry, now), { typ: spec.typ })
      if (entry.header !== undefined) return { [entry.header]: token }
      if (!spec.isBound) return { authorization: `Bearer ${token}` }
      const iat = Math.floor(now() / 1000) - spec.proofAge
      const proof = factory.proof({
        method,
        url,
        token,
        key: agents.keyOf(spec.agent),
        nonce,
        claims: { iat },
      })
      return { authorization: `DPoP ${token}`, dpop: proof }
    },
    trustedBy: (policy) => withKey(policy, jwks),
  }
}

function delegate(
  agents: AgentRegistry,
  { chain = [], scopes, workflow, claims }: TokenSpec,
): TestDelegation {
  const [first = '', second = '', ...rest] = chain
  // The intent of a chain is that of the token.
  const hash = claims['/intent/intent_hash']
  const grant = {
    scope: scopes,
    ...(workflow === undefined ? {} : { workflow }),
    ...(typeof hash === 'string' ? { hash } : {}),
  }
  const start = agents.agent(first).delegateTo(second, grant)
  return rest.reduce((after, to) => after.to.delegateTo(to, { ...grant, after }), start)
}

function intentOf({ workflow, step, completed, chain, isChainSigned, initiator }: TokenSpec) {
  return {
    ...(workflow === undefined ? {} : { workflow }),
    ...(step === undefined ? {} : { step, completedSteps: completed }),
    ...(chain === undefined || isChainSigned ? {} : { chain }),
    ...(initiator === undefined ? {} : { initiatedBy: initiator.id, initiatorType: initiator.type }),
  }
}

/** The claims, at the places that the issuer's entry has them. */
function complete(
  honest: Record<string, unknown>,
  spec: TokenSpec,
  entry: CompiledIssuer,
  now: () => number,
): TokenClaims {
  const claims: Record<string, unknown> = structuredClone(honest)
  const iat = Math.floor(now() / 1000)
  const set = (pointer: string, value: unknown) => setPointer(claims, pointer, value)
  if (!(spec.chain !== undefined && spec.isChainSigned)) set('/exp', iat + spec.lifetime)
  if (!spec.isBound) set('/cnf', undefined)
  for (const [name, value] of Object.entries({
    agent_checksum: spec.checksum,
    registration_id: spec.registrationId,
  }))
    if (value !== undefined) set(`/agent_proof/${name}`, value)
  if (spec.acr !== undefined) set('/acr', spec.acr)
  if (spec.amr.length > 0) set('/amr', spec.amr)
  if (spec.authAge !== undefined) set('/auth_time', iat - spec.authAge)
  if (entry.profile === 'oauth') placeForOauth(set, spec, entry)
  addRequired(claims, spec, iat)
  for (const [pointer, value] of Object.entries(spec.claims)) set(pointer, value)
  return claims
}

/** The constraints of the issuer's entry. `exists` alone needs no value: an honest one stays. */
function addRequired(claims: Record<string, unknown>, { required }: TokenSpec, iat: number): void {
  for (const [pointer, value] of Object.entries(required)) {
    const isThere = resolvePointer(claims as Json, parsePointer(pointer)) !== undefined
    if (value === anyValue && isThere) continue
    setPointer(claims, pointer, value === anyValue && pointer === '/nbf' ? iat : value)
  }
}

function placeForOauth(
  set: (pointer: string, value: unknown) => void,
  spec: TokenSpec,
  { sources }: CompiledIssuer,
): void {
  const toPointer = (names: readonly string[] | undefined) =>
    names?.map((name) => `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')
  const subject = spec.initiator?.type === 'user' ? spec.initiator.id : spec.agent
  const places: readonly (readonly [string | undefined, unknown])[] = [
    [toPointer(sources.scope[0]), spec.scopes.join(' ')],
    [toPointer(sources.audience[0]), spec.audience],
    [toPointer(sources.subject[0]), subject],
    [toPointer(sources.agent), spec.agent],
    [sources.id === 'hash' ? undefined : toPointer(sources.id[0]), randomUUID()],
  ]
  for (const [pointer, value] of places) if (pointer !== undefined) set(pointer, value)
  if (spec.workflow === undefined && spec.chain === undefined && subject !== spec.agent)
    set('/intent', undefined)
}

/** Every issuer with this key, and the algorithm of the key added to those that the policy takes. */
function withKey(policy: Policy, jwks: LocalIssuer['jwks']): Policy {
  const trusting = withIssuers(policy, ({ jwksUri: _, ...entry }) => ({
    ...entry,
    jwks,
    ...(entry.token ? { token: withES256(entry.token) } : {}),
  }))
  return {
    ...trusting,
    ...(policy.token ? { token: withES256(policy.token) } : {}),
    ...(policy.proof ? { proof: withES256(policy.proof) } : {}),
  }
}

function withES256<T extends { algorithms?: readonly string[] }>(rules: T): T {
  const { algorithms } = rules
  return algorithms === undefined || algorithms.includes('ES256')
    ? rules
    : { ...rules, algorithms: [...algorithms, 'ES256'] }
}
