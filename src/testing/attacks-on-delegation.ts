import { randomUUID } from 'node:crypto'
import type { Attacker, Forgery } from './attacker.js'
import { delegate } from './delegation.js'
import { type Attack, altered, DAY, intentWith, SOMEBODY } from './forgery.js'
import { generateKey, sequenceHash, type TestKey } from './key.js'
import type { DelegationGrant } from './parties.js'

/** A token on somebody's behalf, with a chain of one hop that is as it should be but for the change. */
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
    const { mint, target } = attacker
    const { from: id = SOMEBODY, key, grant, rewrite = (same) => same, scope } = change(attacker)
    const honest = attacker.claims()
    const { workflow_id, intent_hash } = honest.intent as { workflow_id?: string; intent_hash?: string }
    const from = mint.agents.agent(id)
    const to = mint.executor(target)
    const chain = delegate(
      {
        from,
        key: key ?? mint.agents.keyOf(from),
        to,
        audience: honest.aud as string,
        now: mint.seconds() * 1000,
      },
      {
        scope: String(honest.scope),
        ...(workflow_id !== undefined && { workflow: workflow_id }),
        ...(intent_hash !== undefined && { hash: intent_hash }),
        ...grant,
      },
    )
    const intent = {
      ...(honest.intent as object),
      initiated_by: from.id,
      initiator_type: 'agent',
      initiator_jkt: from.keyThumbprint,
      delegator_jkts: chain.delegatorKeys,
      delegation: chain.assertions.map(rewrite),
      delegation_chain: sequenceHash(chain.agents),
    }
    return attacker.carry(attacker.token({ intent, ...(scope !== undefined && { scope }) }))
  }

/**
 * The first delegator names a second key of its own as the next agent's, and signs the next assertion with it. The
 * issuer attests the real key of that agent.
 */
function forgedMiddleHop(attacker: Attacker): Forgery {
  const { mint, target } = attacker
  const honest = attacker.claims()
  const { workflow_id: workflow, intent_hash: hash } = honest.intent as Record<string, string | undefined>
  const context = { ...(workflow !== undefined && { workflow }), ...(hash !== undefined && { hash }) }
  const from = mint.agents.agent(SOMEBODY)
  const middle = mint.agents.agent('ajwt-test-middle')
  const second = generateKey()
  const common = { audience: honest.aud as string, now: mint.seconds() * 1000 }
  const first = delegate(
    { ...common, from, key: mint.agents.keyOf(from), to: middle },
    { scope: String(honest.scope), ...context, claims: { cnf: { jkt: second.thumbprint } } },
  )
  const chain = delegate(
    { ...common, from: middle, key: second, to: mint.executor(target) },
    { scope: String(honest.scope), after: first },
  )
  const intent = {
    ...(honest.intent as object),
    initiated_by: from.id,
    initiator_type: 'agent',
    initiator_jkt: from.keyThumbprint,
    delegator_jkts: chain.delegatorKeys,
    delegation: chain.assertions,
    delegation_chain: sequenceHash(chain.agents),
  }
  return attacker.carry(attacker.token({ intent }))
}

export const onTheDelegation: readonly Attack[] = [
  {
    name: "a delegation that a stranger signed in the delegator's name",
    expected: [401, 'delegation_link_broken'],
    forge: delegated(() => ({ key: generateKey() })),
  },
  {
    name: 'a delegation that was made to another agent',
    expected: [401, 'delegation_link_broken'],
    forge: delegated(() => ({ grant: { claims: { sub: 'ajwt-test-third' } } })),
  },
  {
    name: 'a delegation that was made to another key',
    expected: [401, 'delegation_link_broken'],
    forge: delegated(() => ({ grant: { claims: { cnf: { jkt: generateKey().thumbprint } } } })),
  },
  {
    name: 'a delegation altered after it was signed',
    expected: [401, 'delegation_signature_invalid'],
    forge: delegated(() => ({ rewrite: (assertion) => altered(assertion, { jti: randomUUID() }) })),
  },
  {
    name: 'a token with more scope than was delegated',
    expected: [401, 'delegation_scope_widened'],
    forge: delegated((attacker) => ({ scope: `${attacker.claims().scope} ajwt-test:more`.trim() })),
  },
  {
    name: 'a delegation that has expired',
    expected: [401, 'delegation_expired'],
    forge: delegated(({ mint }) => ({
      grant: { claims: { iat: mint.seconds() - DAY, exp: mint.seconds() - DAY + 60 } },
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
    forge: delegated(({ mint, target }) => ({ from: mint.executor(target).id })),
  },
  {
    name: 'a middle hop that the first delegator signed with a second key of its own',
    // Too deep where the policy allows a single hop.
    expected: [401, 'delegation_link_broken', 'delegation_too_deep'],
    forge: forgedMiddleHop,
  },
  {
    name: 'a person with the name of the agent that begins a listed chain',
    expected: [403, 'delegation_not_allowed'],
    applies: ({ intent }) => intent?.chain !== undefined,
    forge: intentWith({ initiator_type: 'user' }),
  },
  {
    name: 'a delegation that nobody signed',
    expected: [403, 'delegation_not_allowed', 'delegation_required'],
    forge: (attacker) => {
      const ids = [SOMEBODY, attacker.mint.executor(attacker.target).id]
      const unsigned = { delegation: undefined, initiator_jkt: undefined, delegator_jkts: undefined }
      const chain = { initiated_by: SOMEBODY, initiator_type: 'agent', delegation_chain: sequenceHash(ids) }
      return intentWith({ ...unsigned, ...chain })(attacker)
    },
  },
]

/** An agent of its own for each attack, so that one revocation does not hide what becomes of the next. */
const REVOKED = 'ajwt-test-revoked'

async function revokeAgent(attacker: Attacker, id: string): Promise<void> {
  const { mint, target } = attacker
  await target.revocations?.revoke(`agent:${attacker.claims().iss} ${id}`, mint.seconds() + DAY)
}

export const withRevocations: readonly Attack[] = [
  {
    name: 'a delegation by an agent that was revoked',
    expected: [401, 'token_revoked'],
    applies: ({ revocations }) => revocations !== undefined,
    forge: async (attacker) => {
      const from = `${REVOKED}-delegator`
      await revokeAgent(attacker, from)
      return delegated(() => ({ from }))(attacker)
    },
  },
  {
    name: 'a run that was set going by an agent that was revoked',
    expected: [401, 'token_revoked'],
    applies: ({ revocations }) => revocations !== undefined,
    forge: async (attacker) => {
      const initiated_by = `${REVOKED}-initiator`
      await revokeAgent(attacker, initiated_by)
      const direct = { initiator_jkt: undefined, delegator_jkts: undefined, delegation: undefined }
      const delegation_chain = sequenceHash([attacker.mint.executor(attacker.target).id])
      return intentWith({ ...direct, initiated_by, initiator_type: 'agent', delegation_chain })(attacker)
    },
  },
  {
    name: 'a listed chain with a delegator that was revoked',
    expected: [401, 'token_revoked'],
    applies: ({ revocations, intent }) => revocations !== undefined && (intent?.chain ?? []).length > 1,
    forge: async (attacker) => {
      await revokeAgent(attacker, attacker.target.intent?.chain?.at(-2) ?? '')
      return attacker.carry(attacker.token())
    },
  },
]
