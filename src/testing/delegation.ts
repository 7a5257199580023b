import { randomUUID } from 'node:crypto'
import type { TestAgent } from './agent.js'
import { sha256, signJws, type TestKey } from './key.js'

/** What one agent lets another do in its place. Nothing is checked: a wrong chain is a good test, too. */
export interface DelegationGrant {
  readonly scope: string | readonly string[]
  /** Default: the issuer's audience. */
  readonly audience?: string | readonly string[]
  /** Seconds. Default 300, or what is left of `after`. */
  readonly ttl?: number
  /** Default: that of `after`. */
  readonly workflow?: string
  /** The `intent_hash`. Default: that of `after`. */
  readonly hash?: string
  /** The delegation that this one continues. */
  readonly after?: TestDelegation
  /** Claims merged into the assertion; undefined deletes one. */
  readonly claims?: Readonly<Record<string, unknown>>
}

/** A chain of signed assertions, outermost first. */
export interface TestDelegation {
  readonly assertions: readonly string[]
  /** Who delegated first. */
  readonly initiator: TestAgent
  /** Who may use it. */
  readonly to: TestAgent
  /** From the initiator to the last delegatee. */
  readonly agents: readonly string[]
  /** The thumbprint of each delegator's own key, in the order of `assertions`: the `delegator_jkts` of a token. */
  readonly delegatorKeys: readonly string[]
  readonly scope: readonly string[]
  readonly workflow: string | undefined
  readonly hash: string | undefined
  /** Seconds since the epoch. */
  readonly expiresAt: number
}

interface Delegator {
  readonly from: TestAgent
  readonly key: TestKey
  readonly to: TestAgent
  readonly audience: string
  readonly now: number
}

export function delegate(
  { from, key, to, audience, now }: Delegator,
  grant: DelegationGrant,
): TestDelegation {
  const { after } = grant
  const scope = scopeList(grant.scope)
  const workflow = grant.workflow ?? after?.workflow
  const hash = grant.hash ?? after?.hash
  const issuedAt = Math.floor(now / 1000)
  const expiresAt = grant.ttl === undefined ? (after?.expiresAt ?? issuedAt + 300) : issuedAt + grant.ttl
  const last = after?.assertions.at(-1)
  const assertion = signJws(
    { typ: 'ajwt-delegation+jwt', jwk: key.jwk },
    {
      iss: from.id,
      sub: to.id,
      cnf: { jkt: to.keyThumbprint },
      aud: grant.audience ?? audience,
      scope: scope.join(' '),
      iat: issuedAt,
      exp: expiresAt,
      jti: randomUUID(),
      workflow_id: workflow,
      intent_hash: hash,
      prev: last && sha256(last),
      ...grant.claims,
    },
    key,
  )
  return Object.freeze({
    assertions: [...(after?.assertions ?? []), assertion],
    initiator: after?.initiator ?? from,
    to,
    agents: [...(after?.agents ?? [from.id]), to.id],
    delegatorKeys: [...(after?.delegatorKeys ?? []), from.keyThumbprint],
    scope,
    workflow,
    hash,
    expiresAt,
  })
}

export function scopeList(scope: string | readonly string[]): string[] {
  return [scope].flat().flatMap((item) => item.split(' ').filter((word) => word !== ''))
}
