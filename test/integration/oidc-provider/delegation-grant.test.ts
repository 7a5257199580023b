import { decodeJwt } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { agentChecksum } from '../../../src/agent/index.js'
import {
  checksum,
  define,
  MAIL,
  ORDERS,
  refundRequest,
  shortHash,
  startWithAgents,
} from '../../support/agents.js'
import { assertion, type KeyPair, newKey, thumbprintOf } from '../../support/independent-client.js'

const { server, client } = await startWithAgents()
afterAll(() => server.close())

describe('a delegation chain', () => {
  let keys: { planner: KeyPair; refunder: KeyPair; clerk: KeyPair }
  const context = { workflow_id: 'refund' }
  const hop = (over: object = {}) => ({
    from: 'planner',
    fromKey: keys.planner,
    to: 'refunder',
    toKey: keys.refunder,
    aud: ORDERS,
    scope: 'orders:read orders:refund',
    claims: context,
    ...over,
  })
  const ask = (chain: string[], by: 'refunder' | 'clerk' = 'refunder') =>
    client.requestToken(
      refundRequest({
        agent_id: by,
        agent_checksum: checksum[by],
        delegation: chain.join(' '),
      }),
      keys[by],
    )

  beforeAll(async () => {
    keys = { planner: await newKey(), refunder: await newKey(), clerk: await newKey() }
    // Both get a token first: that is how the server has seen their keys.
    const own = { agent_id: 'planner', agent_checksum: checksum.planner, scope: 'orders:read' }
    await client.requestToken({ ...own, resource: ORDERS }, keys.planner)
    await client.requestToken(refundRequest(), keys.refunder)
  })

  it('of two hops is embedded, attested, and bounds the life of the token', async () => {
    const exp = Math.floor(Date.now() / 1000) + 60
    const first = await assertion(hop())
    const second = await assertion({
      ...hop({ from: 'refunder', fromKey: keys.refunder, to: 'clerk', toKey: keys.clerk, prev: first }),
      scope: 'orders:refund',
      claims: { ...context, exp },
    })
    const { token } = await ask([first, second], 'clerk')
    const claims = decodeJwt(String(token))
    expect(claims).toMatchObject({
      sub: 'clerk',
      intent: {
        initiated_by: 'planner',
        initiator_jkt: await thumbprintOf(keys.planner),
        delegator_jkts: [await thumbprintOf(keys.planner), await thumbprintOf(keys.refunder)],
        executed_by: 'clerk',
        delegation: [first, second],
        delegation_chain: shortHash('planner|refunder|clerk'),
      },
    })
    expect(claims.exp).toBeLessThanOrEqual(exp)
  })

  it('carries the authentication of the person who approved the run that the initiator began', async () => {
    const intent_hash = shortHash('refund order 17').padEnd(43, 'A')
    const approval = { user: 'user:alice', intentHash: intent_hash, acr: 'phr', amr: ['hwk'], authTime: 7 }
    const first = await assertion(hop({ claims: { ...context, intent_hash } }))
    const askForIt = () =>
      client.requestToken(refundRequest({ intent_hash, delegation: first }), keys.refunder)
    // Approved for the executor: that is not who set the run going.
    server.registry.approve({ ...approval, agentId: 'refunder', details: [{ type: 'refund', order: '16' }] })
    expect(await askForIt()).toEqual({ error: 'invalid_grant', status: 400 })
    expect(server.refusals.at(-1)?.reason).toBe('approval_missing')
    server.registry.approve({ ...approval, agentId: 'planner', details: [{ type: 'refund', order: '17' }] })
    expect(decodeJwt(String((await askForIt()).token))).toMatchObject({
      acr: 'phr',
      auth_time: 7,
      authorization_details: [{ type: 'refund', order: '17' }],
      intent: { initiated_by: 'planner', initiator_type: 'agent', intent_hash },
    })
  })

  const now = () => Math.floor(Date.now() / 1000)
  it.each<[string, string, () => object]>([
    [
      'made out to another key',
      'the last assertion is for another agent or key',
      () => ({ toKey: keys.clerk }),
    ],
    ['made out to another agent', 'the last assertion is for another agent or key', () => ({ to: 'clerk' })],
    [
      'from an agent under a key that the server never saw',
      'unknown delegator planner',
      () => ({ fromKey: keys.clerk }),
    ],
    ['from an agent that nobody registered', 'unknown delegator stranger', () => ({ from: 'stranger' })],
    [
      'signed with another key than it shows',
      'an assertion cannot be verified',
      () => ({ signWith: keys.clerk }),
    ],
    ['for another audience', 'an assertion is for another audience', () => ({ aud: MAIL })],
    [
      'of less scope than the token',
      'the token has more scope than the last assertion',
      () => ({ scope: 'orders:read' }),
    ],
    [
      'of more scope than the initiator has',
      'the delegator planner does not hold that scope',
      () => ({ scope: 'orders:refund orders:delete' }),
    ],
    [
      'for another workflow',
      'an assertion is for another workflow',
      () => ({ claims: { workflow_id: 'payroll' } }),
    ],
    [
      'for an intent that the token does not carry',
      'an assertion is for another intent',
      () => ({ claims: { ...context, intent_hash: 'x'.repeat(43) } }),
    ],
    [
      'that has expired',
      'an assertion has expired',
      () => ({ claims: { ...context, iat: now() - 60, exp: now() - 1 } }),
    ],
    [
      'from the future',
      'an assertion was issued in the future',
      () => ({ claims: { ...context, iat: now() + 60 } }),
    ],
    [
      'from an agent to itself',
      'an agent occurs twice',
      () => ({ from: 'refunder', fromKey: keys.refunder }),
    ],
  ])('is refused: an assertion %s', async (_, detail, over) => {
    const outcome = await ask([await assertion(hop(over()))])
    expect(outcome).toEqual({ error: 'invalid_grant', status: 400 })
    expect(server.refusals.at(-1)?.message).toContain(detail)
  })

  it.each<[string, string, object]>([
    [
      'a hop that does not name the one before it',
      'an assertion does not continue the one before it',
      { prev: 'another' },
    ],
    [
      'a hop that widens the scope',
      'an assertion grants more scope than the one before it',
      { scope: 'orders:read orders:refund' },
    ],
    [
      'a hop that outlives the one before it',
      'an assertion is valid for longer than the one before it',
      { claims: { ...context, exp: now() + 600 } },
    ],
    [
      'a hop from an agent that was not delegated to',
      'an assertion was not made by the delegatee before it',
      { from: 'planner' },
    ],
  ])('is refused: %s', async (_, detail, over) => {
    const first = await assertion(hop({ scope: 'orders:refund' }))
    const hands = { from: 'refunder', fromKey: keys.refunder, to: 'clerk', toKey: keys.clerk }
    const second = await assertion(hop({ ...hands, scope: 'orders:refund', prev: first, ...over }))
    expect(await ask([first, second], 'clerk')).toEqual({ error: 'invalid_grant', status: 400 })
    expect(server.refusals.at(-1)?.message).toContain(detail)
  })

  it.each<[string, string, string, string[] | undefined]>([
    ['whose key the initiator made up', 'unknown delegator refunder', 'refunder', undefined],
    ['that nobody registered', 'unknown delegator ghost', 'ghost', undefined],
    [
      'that hands on a scope which it does not have itself',
      'the delegator reader does not hold that scope',
      'reader',
      ['orders:read'],
    ],
  ])('is refused: a middle agent %s', async (_, detail, middle, scopes) => {
    const middleKey = await newKey()
    if (scopes !== undefined) {
      const registration = { definition: define(middle), checksum: await agentChecksum(define(middle)) }
      await server.registry.register({ ...registration, scopes })
      server.registry.permit(client.clientId, middle)
      const own = { agent_id: middle, agent_checksum: registration.checksum, scope: 'orders:read' }
      expect(await client.requestToken({ ...own, resource: ORDERS }, middleKey)).toHaveProperty('token')
    }
    const first = await assertion(hop({ to: middle, toKey: middleKey }))
    const hands = { from: middle, fromKey: middleKey, to: 'clerk', toKey: keys.clerk }
    const second = await assertion(hop({ ...hands, prev: first }))
    expect(await ask([first, second], 'clerk')).toEqual({ error: 'invalid_grant', status: 400 })
    expect(server.refusals.at(-1)?.message).toContain(detail)
  })

  it('is refused: five hops, and what is no assertion', async () => {
    expect(await ask(Array.from({ length: 5 }, () => 'a.b.c'))).toMatchObject({ error: 'invalid_grant' })
    expect(server.refusals.at(-1)?.message).toContain('more than 4 delegations')
    expect(await ask(['junk'])).toMatchObject({ error: 'invalid_grant' })
  })
})
