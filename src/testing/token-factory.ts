import { randomUUID } from 'node:crypto'
import { proofClaims } from '../agent/keys/proof.js'
import { dpopProofType } from '../protocol/token-types.js'
import { type AgentRegistry, idOf } from './agent.js'
import { scopeList } from './delegation.js'
import { base64urlHash, sequenceHash, signJws, type TestKey } from './key.js'
import type { TestAgent, TestDelegation } from './types.js'

/** Claims merged into the honest ones. `undefined` deletes a claim. `intent` is merged member by member. */
export type TokenClaims = Readonly<Record<string, unknown>>

/** The intent of a request, with the member names of `ajwt/agent`. */
export interface TestIntent {
  readonly workflow?: string
  readonly step?: string
  /** Default, if `step` is set: none. */
  readonly completedSteps?: readonly string[]
  /** The `intent_hash` of the request that a person approved. */
  readonly hash?: string
  /** The initiator of the run. Default: the first delegator, or the agent. */
  readonly initiatedBy?: string
  /** Default: `agent` if `initiatedBy` is a registered agent of this issuer (see `agent`), else `user`. */
  readonly initiatorType?: 'agent' | 'user'
  /** An unsigned chain from the initiator to the executor, as in `delegation.chains` of a rule. */
  readonly chain?: readonly string[]
}

/** One honest request. */
export interface TestCall {
  /** Default GET. */
  readonly method?: string
  /** A path of the API, or a full URL, which must match the `publicUrl` of the policy. */
  readonly url: string | URL
  /** Default: the last delegatee of `delegation`, else the last of `intent.chain`, else `test-agent`. */
  readonly agent?: TestAgent | string
  /** Default: the scope of `delegation`, else none. */
  readonly scope?: string | readonly string[]
  readonly intent?: TestIntent
  readonly delegation?: TestDelegation
  /** Authentication of the accountable person. `authTime` is in seconds since the epoch, by default now. */
  readonly user?: { readonly acr?: string; readonly amr?: readonly string[]; readonly authTime?: number }
  /** Further claims, and overrides of the honest ones. */
  readonly claims?: TokenClaims
  /** An existing token. Only a new proof is made. */
  readonly token?: string
  /** The latest `DPoP-Nonce` of the API, if it requires one. */
  readonly nonce?: string
}

/** For `fetch`, supertest's `set`, `inject` and similar functions. */
export type TestHeaders = { authorization: string; dpop: string }

interface ProofInput {
  readonly method: string
  readonly url: string
  readonly token: string
  readonly key: TestKey
  readonly nonce?: string | undefined
  readonly header?: Readonly<Record<string, unknown>>
  readonly claims?: Readonly<Record<string, unknown>>
}

/** Makes tokens and proofs, honest and forged ones. */
export interface TokenFactory {
  readonly key: TestKey
  readonly kid: string
  readonly agents: AgentRegistry
  seconds(): number
  executor(call: Partial<TestCall>): TestAgent
  claims(call: Partial<TestCall>): Record<string, unknown>
  sign(claims: TokenClaims, header?: Readonly<Record<string, unknown>>, key?: TestKey): string
  proof(input: ProofInput): string
  /** The full URL for the `htu` claim of a proof. */
  urlOf(url: string | URL): string
}

export interface TokenFactoryOptions {
  readonly issuer: string
  readonly audience: string
  readonly publicUrl: string
  readonly key: TestKey
  readonly kid: string
  readonly agents: AgentRegistry
  readonly now: () => number
}

/** Seconds. Short enough for a policy with a small `token.maxLifetime`. */
const LIFETIME = 60

export function createTokenFactory({
  issuer,
  audience,
  publicUrl,
  key,
  kid,
  agents,
  now,
}: TokenFactoryOptions): TokenFactory {
  const seconds = () => Math.floor(now() / 1000)

  function executor({ agent, delegation, intent, claims }: Partial<TestCall>): TestAgent {
    const { sub } = claims ?? {}
    const subject = typeof sub === 'string' && sub !== '' ? sub : undefined
    return agents.agent(idOf(agent ?? delegation?.to ?? intent?.chain?.at(-1) ?? subject ?? 'test-agent'))
  }

  return {
    key,
    kid,
    agents,
    seconds,
    executor,
    claims(call) {
      const { delegation, user } = call
      const agent = executor(call)
      const iat = seconds()
      const honest = {
        iss: issuer,
        sub: agent.id,
        aud: audience,
        client_id: 'test-client',
        scope: scopeList(call.scope ?? delegation?.scope ?? []).join(' '),
        iat,
        exp: Math.min(iat + LIFETIME, delegation?.expiresAt ?? Number.POSITIVE_INFINITY),
        jti: randomUUID(),
        cnf: { jkt: agent.keyThumbprint },
        agent_proof: { agent_checksum: agent.checksum, registration_id: agent.registrationId },
        ...(user && { acr: user.acr, amr: user.amr, auth_time: user.authTime ?? iat }),
        ...call.claims,
      }
      const intent = call.claims?.intent
      if (call.claims && 'intent' in call.claims && !isObject(intent)) return { ...honest, intent }
      const merged = { ...intentOf(agent, call, agents), ...(isObject(intent) && intent) }
      // The honest type may be wrong for an initiator that the caller sets.
      if (isObject(intent) && 'initiated_by' in intent && !('initiator_type' in intent)) {
        return { ...honest, intent: { ...merged, initiator_type: undefined } }
      }
      return { ...honest, intent: merged }
    },
    sign: (claims, header = {}, signingKey = key) =>
      signJws({ typ: 'at+jwt', kid, ...header }, claims, signingKey),
    proof({ method, url, token, key: proofKey, nonce, header, claims }) {
      const htu = url.replace(/[?#].*$/s, '')
      const payload = proofClaims({ method, htu, ath: base64urlHash(token), nonce }, seconds() * 1000)
      return signJws(
        { typ: dpopProofType, jwk: proofKey.jwk, ...header },
        { ...payload, ...claims },
        proofKey,
      )
    },
    urlOf(url) {
      const text = String(url)
      // Not `new URL(text, base)`, which takes a path with two leading slashes for a host.
      return text.startsWith('/') ? publicUrl.replace(/\/$/, '') + text : text
    },
  }
}

function intentOf(agent: TestAgent, { intent = {}, delegation }: Partial<TestCall>, registry: AgentRegistry) {
  const ids = delegation?.agents ?? intent.chain ?? [agent.id]
  const initiator = intent.initiatedBy ?? ids[0] ?? agent.id
  const isAgent = ids.length > 1 || initiator === agent.id || registry.has(initiator)
  const { workflow = delegation?.workflow, step, completedSteps = [], hash = delegation?.hash } = intent
  return {
    workflow_id: workflow,
    workflow_step: step,
    step_sequence_hash: step === undefined ? undefined : sequenceHash(completedSteps),
    executed_by: agent.id,
    initiated_by: initiator,
    initiator_type: intent.initiatorType ?? (isAgent ? 'agent' : 'user'),
    initiator_jkt: delegation?.initiator.keyThumbprint,
    delegator_jkts: delegation?.delegatorKeys,
    intent_hash: hash,
    delegation: delegation?.assertions,
    delegation_chain: sequenceHash(ids),
  }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}
