import { randomUUID } from 'node:crypto'
import { type AgentRegistry, idOf } from './agent.js'
import { scopeList } from './delegation.js'
import { base64urlHash, sequenceHash, signJws, type TestKey } from './key.js'
import type { TestAgent, TestDelegation } from './parties.js'

/** Claims of a token, merged into honest ones; undefined deletes one. `intent` is merged member by member. */
export type TokenClaims = Readonly<Record<string, unknown>>

/** What a request is for, in the words of `ajwt/agent`. */
export interface TestIntent {
  readonly workflow?: string
  readonly step?: string
  /** Default: none, where a step is named. */
  readonly completedSteps?: readonly string[]
  /** The `intent_hash` of the request that a person approved. */
  readonly hash?: string
  /** Who set the run going. Default: the agent, or who delegated first. */
  readonly initiatedBy?: string
  /** Default: `user` where `initiatedBy` is no agent that this issuer knows (see `agent`), else `agent`. */
  readonly initiatorType?: 'agent' | 'user'
  /** A chain that nobody signed, as `delegation.chains` of a rule lists it: from the initiator to the executor. */
  readonly chain?: readonly string[]
}

/** One honest request. */
export interface TestCall {
  /** Default GET. */
  readonly method?: string
  /** A path of the API, or a whole URL, which then has to be one that the policy calls its own. */
  readonly url: string | URL
  /** Default: whom `delegation` is for, else the last of `intent.chain`, else `test-agent`. */
  readonly agent?: TestAgent | string
  /** Default: what `delegation` is for, else none. */
  readonly scope?: string | readonly string[]
  readonly intent?: TestIntent
  readonly delegation?: TestDelegation
  /** How the accountable person was authenticated; `authTime` in seconds since the epoch, by default now. */
  readonly user?: { readonly acr?: string; readonly amr?: readonly string[]; readonly authTime?: number }
  /** Further claims, and other values of those above. */
  readonly claims?: TokenClaims
  /** A token that is there already: only the proof is made. */
  readonly token?: string
  /** The newest `DPoP-Nonce` of the API, where it asks for one. */
  readonly nonce?: string
}

/** Ready for `fetch`, supertest's `set`, `inject`, and the like. */
export type TestHeaders = { authorization: string; dpop: string }

interface ProofOf {
  readonly method: string
  readonly url: string
  readonly token: string
  readonly key: TestKey
  readonly nonce?: string | undefined
  readonly header?: Readonly<Record<string, unknown>>
  readonly claims?: Readonly<Record<string, unknown>>
}

/** Writes tokens and proofs, right ones and wrong ones. */
export interface Mint {
  readonly key: TestKey
  readonly kid: string
  readonly agents: AgentRegistry
  seconds(): number
  executor(call: Partial<TestCall>): TestAgent
  claims(call: Partial<TestCall>): Record<string, unknown>
  sign(claims: TokenClaims, header?: Readonly<Record<string, unknown>>, key?: TestKey): string
  proof(of: ProofOf): string
  /** The URL as a proof names it. */
  urlOf(url: string | URL): string
}

export interface MintOptions {
  readonly issuer: string
  readonly audience: string
  readonly publicUrl: string
  readonly key: TestKey
  readonly kid: string
  readonly agents: AgentRegistry
  readonly now: () => number
}

/** Seconds that a token lives: short enough for a policy that narrows `token.maxLifetime`. */
const LIFETIME = 60

export function createMint({ issuer, audience, publicUrl, key, kid, agents, now }: MintOptions): Mint {
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
      const stated = { ...intentOf(agent, call, agents), ...(intent as object | undefined) }
      // An initiator that was written by hand has the type that was written by hand, if any.
      if (isObject(intent) && 'initiated_by' in intent && !('initiator_type' in intent)) {
        return { ...honest, intent: { ...stated, initiator_type: undefined } }
      }
      return { ...honest, intent: stated }
    },
    sign: (claims, header = {}, by = key) => signJws({ typ: 'at+jwt', kid, ...header }, claims, by),
    proof({ method, url, token, key: by, nonce, header, claims }) {
      const htu = url.split(/[?#]/, 1)[0]
      const payload = {
        jti: randomUUID(),
        htm: method,
        htu,
        iat: seconds(),
        ath: base64urlHash(token),
        nonce,
      }
      return signJws({ typ: 'dpop+jwt', jwk: by.jwk, ...header }, { ...payload, ...claims }, by)
    },
    urlOf(url) {
      const text = String(url)
      // Not `new URL(text, base)`: a path that begins with two slashes would name a host.
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
