import { randomUUID } from 'node:crypto'
import { assertionClaims } from '../agent/delegation/delegate.js'
import { delegationAssertionType } from '../protocol/token-types.js'
import { base64urlHash, signJws, type TestKey } from './key.js'
import type { DelegationGrant, TestAgent, TestDelegation } from './types.js'

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
  const hop = {
    from: from.id,
    to: to.id,
    toKey: to.keyThumbprint,
    audience: [grant.audience ?? audience].flat(),
    scope,
    issuedAt,
    expiresAt,
    id: randomUUID(),
    workflow,
    hash,
    prev: last && base64urlHash(last),
  }
  const assertion = signJws(
    { typ: delegationAssertionType, jwk: key.jwk },
    { ...assertionClaims(hop), ...grant.claims },
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
