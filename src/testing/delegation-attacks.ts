import { randomUUID } from 'node:crypto'
import type { Attacker, Forgery } from './attacker.js'
import { delegate } from './delegation.js'
import { type Attack, altered, DAY, intentMembers, intentWith, SOMEBODY } from './forgery.js'
import { generateKey, sequenceHash, type TestKey } from './key.js'
import type { DelegationGrant } from './types.js'

/** A token with a chain of one hop that is honest except for the change. */
const delegated =
  (
    change: (attacker: Attacker) => {
      readonly from?: string
      readonly key?: TestKey
      readonly grant?: Partial<DelegationGrant>
      readonly rewrite?: (assertion: string) => string
      readonly scope?: string
    },
  ) =>
  (attacker: Attacker) => {
    const { factory, target } = attacker
    const { from: id = SOMEBODY, key, grant, rewrite = (same) => same, scope } = change(attacker)
    const honest = attacker.claims()
    const from = factory.agents.agent(id)
    const to = factory.executor(target)
    const chain = delegate(
      {
        from,
        key: key ?? factory.agents.keyOf(from),
        to,
        audience: String(honest.aud),
        now: factory.seconds() * 1000,
      },
      {
        scope: String(honest.scope),
        ...intentContext(honest),
        ...grant,
      },
    )
    const intent = {
      ...intentMembers(honest),
      initiated_by: from.id,
      initiator_type: 'agent',
      initiator_jkt: from.keyThumbprint,
      delegator_jkts: chain.delegatorKeys,
      delegation: chain.assertions.map(rewrite),
      delegation_chain: sequenceHash(chain.agents),
    }
    return attacker.withCredentials(attacker.token({ intent, ...(scope !== undefined && { scope }) }))
  }

/** Workflow and hash of the token's intent, which each assertion of its chain must repeat. */
function intentContext(claims: Record<string, unknown>): Pick<DelegationGrant, 'workflow' | 'hash'> {
  const { workflow_id: workflow, intent_hash: hash } = intentMembers(claims)
  return {
    ...(typeof workflow === 'string' && { workflow }),
    ...(typeof hash === 'string' && { hash }),
  }
}

/**
 * The first delegator passes off a second key of its own as the key of the next agent, and signs the next
 * assertion with it. The issuer attests the real key of that agent.
 */
function forgedMiddleHop(attacker: Attacker): Forgery {
  const { factory, target } = attacker
  const honest = attacker.claims()
  const from = factory.agents.agent(SOMEBODY)
  const middle = factory.agents.agent('ajwt-test-middle')
  const second = generateKey()
  const common = { audience: String(honest.aud), now: factory.seconds() * 1000 }
  const first = delegate(
    { ...common, from, key: factory.agents.keyOf(from), to: middle },
    { scope: String(honest.scope), ...intentContext(honest), claims: { cnf: { jkt: second.thumbprint } } },
  )
  const chain = delegate(
    { ...common, from: middle, key: second, to: factory.executor(target) },
    { scope: String(honest.scope), after: first },
  )
  const intent = {
    ...intentMembers(honest),
    initiated_by: from.id,
    initiator_type: 'agent',
    initiator_jkt: from.keyThumbprint,
    delegator_jkts: chain.delegatorKeys,
    delegation: chain.assertions,
    delegation_chain: sequenceHash(chain.agents),
  }
  return attacker.withCredentials(attacker.token({ intent }))
}

export const delegationAttacks: readonly Attack[] = [
  {
    name: "a delegation signed by a stranger in the delegator's name",
    expected: [401, 'delegation_link_broken'],
    forge: delegated(() => ({ key: generateKey() })),
  },
  {
    name: 'a delegation to another agent',
    expected: [401, 'delegation_link_broken'],
    forge: delegated(() => ({ grant: { claims: { sub: 'ajwt-test-third' } } })),
  },
  {
    name: 'a delegation to another key',
    expected: [401, 'delegation_link_broken'],
    forge: delegated(() => ({ grant: { claims: { cnf: { jkt: generateKey().thumbprint } } } })),
  },
  {
    name: 'a delegation altered after it was signed',
    expected: [401, 'delegation_signature_invalid'],
    forge: delegated(() => ({ rewrite: (assertion) => altered(assertion, { jti: randomUUID() }) })),
  },
  {
    name: 'a token with more scope than its delegation',
    expected: [401, 'delegation_scope_widened'],
    forge: delegated((attacker) => ({ scope: `${attacker.claims().scope} ajwt-test:more`.trim() })),
  },
  {
    name: 'an expired delegation',
    expected: [401, 'delegation_expired'],
    forge: delegated(({ factory }) => ({
      grant: { claims: { iat: factory.seconds() - DAY, exp: factory.seconds() - DAY + 60 } },
    })),
  },
  {
    name: 'a delegation for another API',
    expected: [401, 'delegation_context_mismatch'],
    forge: delegated(() => ({ grant: { audience: 'https://somebody-else.test' } })),
  },
  {
    name: 'a delegation for another workflow',
    expected: [401, 'delegation_context_mismatch'],
    forge: delegated(() => ({ grant: { workflow: 'ajwt-test-other' } })),
  },
  {
    name: 'a delegation of an agent to itself',
    expected: [401, 'delegation_loop'],
    forge: delegated(({ factory, target }) => ({ from: factory.executor(target).id })),
  },
  {
    name: 'a middle hop that the first delegator signed with a second key of its own',
    // Too deep if the policy allows only one hop.
    expected: [401, 'delegation_link_broken', 'delegation_too_deep'],
    forge: forgedMiddleHop,
  },
  {
    name: 'a person with the id of the agent that begins an allowed chain',
    expected: [403, 'delegation_not_allowed'],
    applies: ({ intent }) => intent?.chain !== undefined,
    forge: intentWith({ initiator_type: 'user' }),
  },
  {
    name: 'an unsigned delegation',
    expected: [403, 'delegation_not_allowed', 'delegation_required'],
    forge: (attacker) => {
      const ids = [SOMEBODY, attacker.factory.executor(attacker.target).id]
      const unsigned = { delegation: undefined, initiator_jkt: undefined, delegator_jkts: undefined }
      const chain = { initiated_by: SOMEBODY, initiator_type: 'agent', delegation_chain: sequenceHash(ids) }
      return intentWith({ ...unsigned, ...chain })(attacker)
    },
  },
]

/** Each attack revokes an agent of its own, so that no revocation affects another attack. */
const REVOKED = 'ajwt-test-revoked'

async function revokeAgent(attacker: Attacker, id: string): Promise<void> {
  const { factory, target } = attacker
  await target.revocations?.revoke(`agent:${attacker.claims().iss} ${id}`, factory.seconds() + DAY)
}

export const revocationAttacks: readonly Attack[] = [
  {
    name: 'a delegation by a revoked agent',
    expected: [401, 'token_revoked'],
    applies: ({ revocations }) => revocations !== undefined,
    forge: async (attacker) => {
      const from = `${REVOKED}-delegator`
      await revokeAgent(attacker, from)
      return delegated(() => ({ from }))(attacker)
    },
  },
  {
    name: 'a run initiated by a revoked agent',
    expected: [401, 'token_revoked'],
    applies: ({ revocations }) => revocations !== undefined,
    forge: async (attacker) => {
      const initiated_by = `${REVOKED}-initiator`
      await revokeAgent(attacker, initiated_by)
      const direct = { initiator_jkt: undefined, delegator_jkts: undefined, delegation: undefined }
      const delegation_chain = sequenceHash([attacker.factory.executor(attacker.target).id])
      return intentWith({ ...direct, initiated_by, initiator_type: 'agent', delegation_chain })(attacker)
    },
  },
  {
    name: 'an allowed chain with a revoked delegator',
    expected: [401, 'token_revoked'],
    applies: ({ revocations, intent }) => revocations !== undefined && (intent?.chain ?? []).length > 1,
    forge: async (attacker) => {
      await revokeAgent(attacker, attacker.target.intent?.chain?.at(-2) ?? '')
      return attacker.withCredentials(attacker.token())
    },
  },
]
