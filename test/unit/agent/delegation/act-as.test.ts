import { decodeJwt } from 'jose'
import { describe, expect, it } from 'vitest'
import { AgentDelegationError, AgentTokenError, type InboundGrant } from '../../../../src/agent/index.js'
import { startApi } from '../../../support/agent/api.js'
import { closeLater, failure, startServers } from '../../../support/agent/setup.js'

const intent = { scope: 'stock:reserve' }
const HASH = 'h'.repeat(43)

/** The grant that ajwt's middleware would have put on the request, from claims that were verified. */
function grantOf(verified: Record<string, unknown>): InboundGrant {
  const claims = verified as unknown as VerifiedClaims
  const { workflow_id: workflowId, intent_hash: hash } = claims.intent
  return {
    agent: { id: claims.sub, keyThumbprint: claims.cnf.jkt },
    intent: { workflowId, hash },
    token: { id: claims.jti },
    claims: verified,
  }
}

interface VerifiedClaims {
  sub: string
  jti: string
  cnf: { jkt: string }
  intent: { workflow_id?: string; intent_hash?: string }
}

/** A planner has called the deputy's API (`api`); the deputy is about to call the stock API. */
async function calledDeputy() {
  const all = await startServers()
  const stock = await startApi(all.issuer)
  closeLater(stock)
  const planner = all.client('planner')
  const deputy = all.client('deputy')
  const run = planner.startWorkflow('refund', { hash: HASH })
  await run.fetch(all.orders, { intent: { scope: 'orders:read' } })
  const received = all.api.accepted[0]
  if (!received) throw new Error('the call')
  const grant = grantOf(received.claims)
  const onward = { scope: 'stock:reserve stock:read', audience: stock.origin, ttl: 60 }
  all.issuer.requests.length = 0
  return { ...all, stock, planner, deputy, run, received, grant, onward, shelf: `${stock.origin}/shelf/1` }
}

describe('a service that calls on under a delegation', () => {
  it('does so with a token of its own, the chain one hop longer', async () => {
    const { issuer, stock, planner, deputy, run, received, grant, onward, shelf } = await calledDeputy()
    const delegation = await run.delegate(await deputy.identity(), onward)
    const acting = await deputy.actAs(grant, { delegation, completedSteps: ['intake'] })
    const response = await acting.step('reserve', () => deputy.fetch(shelf, { method: 'POST', intent }))
    expect(response.status).toBe(200)

    const [accepted] = stock.accepted
    expect(accepted?.token).not.toBe(received.token)
    expect(accepted?.claims).toMatchObject({
      sub: 'deputy',
      cnf: { jkt: (await deputy.identity()).jkt },
      intent: {
        executed_by: 'deputy',
        initiated_by: 'planner',
        initiator_jkt: (await planner.identity()).jkt,
        workflow_id: 'refund',
        workflow_step: 'reserve',
        intent_hash: HASH,
        delegation: [delegation],
      },
    })
    expect(JSON.stringify([issuer.requests, stock.requests])).not.toContain(received.token)
  })

  it('for a caller that itself acts for another', async () => {
    const { issuer, api, client, orders, planner, deputy, onward, stock, shelf } = await calledDeputy()
    const supervisor = client('supervisor')
    const first = await supervisor.delegate(await planner.identity(), {
      scope: 'orders:read stock:reserve stock:read',
      audience: [api.origin, stock.origin],
    })
    const run = await planner.acceptDelegation(first, { from: await supervisor.identity() })
    await run.fetch(orders, { intent: { scope: 'orders:read' } })
    const grant = grantOf(api.accepted.at(-1)?.claims ?? {})
    const delegation = await run.delegate(await deputy.identity(), onward)
    expect(delegation.split(' ')).toHaveLength(2)
    await (await deputy.actAs(grant, { delegation })).fetch(shelf, { intent })
    expect(stock.accepted[0]?.claims).toMatchObject({ intent: { initiated_by: 'supervisor' } })
    expect(issuer.requests.at(-1)?.delegation.map(({ claims }) => [claims.iss, claims.sub])).toEqual([
      ['supervisor', 'planner'],
      ['planner', 'deputy'],
    ])

    // The planner's own authority, passed off as what this call was made under: and the other way round.
    const direct = await planner.delegate(await deputy.identity(), onward)
    const { code } = await failure(deputy.actAs(grant, { delegation: direct }), AgentDelegationError)
    expect(code).toBe('delegation_link_broken')
  })

  it('only under one that its caller made, for it, for this call', async () => {
    const { client, planner, deputy, run, grant, onward } = await calledDeputy()
    const self = await deputy.identity()
    const thief = client('thief')
    const sameName = client('planner')
    const bad: [string, Promise<string>, string][] = [
      [
        'made by another agent',
        thief.startWorkflow('refund', { hash: HASH }).delegate(self, onward),
        'link_broken',
      ],
      [
        'made with another key',
        sameName.startWorkflow('refund', { hash: HASH }).delegate(self, onward),
        'link_broken',
      ],
      ['made for another service', run.delegate(await thief.identity(), onward), 'link_broken'],
      [
        'for another workflow',
        planner.startWorkflow('payout', { hash: HASH }).delegate(self, onward),
        'context_mismatch',
      ],
      ['for another intent', planner.startWorkflow('refund').delegate(self, onward), 'context_mismatch'],
      ['for no workflow', planner.delegate(self, onward), 'context_mismatch'],
    ]
    for (const [name, delegation, code] of bad) {
      const error = await failure(deputy.actAs(grant, { delegation: await delegation }), AgentDelegationError)
      expect([name, error.code]).toEqual([name, `delegation_${code}`])
    }
    const unbound = { ...grant, agent: { id: 'planner' } }
    const delegation = await run.delegate(self, onward)
    const error = await failure(deputy.actAs(unbound, { delegation }), AgentDelegationError)
    expect(error.code).toBe('delegation_link_broken')
  })

  it('never beyond what it was given', async () => {
    const { deputy, run, grant, onward, orders, shelf } = await calledDeputy()
    const acting = await deputy.actAs(grant, {
      delegation: await run.delegate(await deputy.identity(), onward),
    })
    const beyond = [
      () => acting.fetch(shelf, { intent: { scope: 'stock:delete' } }),
      () => acting.fetch(orders, { intent }),
      () => acting.delegate({ id: 'x', jkt: HASH }, { ...onward, scope: 'stock:delete' }),
    ]
    for (const attempt of beyond) await failure(attempt(), AgentDelegationError)
  })
})

describe('a service that calls on by token exchange', () => {
  it('sends the parameters of RFC 8693, and the received token to the authorization server only', async () => {
    const { issuer, stock, deputy, received, grant, shelf } = await calledDeputy()
    const acting = await deputy.actAs(grant, { subjectToken: received.token })
    await acting.fetch(shelf, { intent })
    expect(issuer.requests[0]?.params).toEqual({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: received.token,
      subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      requested_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      client_id: 'app',
      agent_id: 'deputy',
      agent_checksum: expect.any(String),
      scope: 'stock:reserve',
      resource: stock.origin,
      workflow_id: 'refund',
      intent_hash: HASH,
    })
    expect(stock.accepted[0]?.claims).toMatchObject({
      sub: 'deputy',
      cnf: { jkt: (await deputy.identity()).jkt },
      intent: { initiated_by: 'planner', executed_by: 'deputy' },
    })
    expect(JSON.stringify(stock.requests)).not.toContain(received.token)
  })

  it('exchanges the token of this very call only', async () => {
    const { api, client, orders, deputy, grant } = await calledDeputy()
    await client('other').fetch(orders, { intent: { scope: 'orders:read' } })
    const other = api.accepted.at(-1)?.token ?? ''
    expect(decodeJwt(other).sub).toBe('other')
    await failure(deputy.actAs(grant, { subjectToken: other }), TypeError)
    await failure(deputy.actAs(grant, { subjectToken: 'opaque' }), Error)
  })

  it('uses no answer that is the received token itself, and repeats it in no error', async () => {
    const { issuer, stock, deputy, received, grant, shelf } = await calledDeputy()
    issuer.behavior.change = { access_token: received.token }
    const acting = await deputy.actAs(grant, { subjectToken: received.token })
    const error = await failure(acting.fetch(shelf, { intent }), AgentTokenError)
    expect(error.error).toBe('invalid_response')
    issuer.behavior.answer = ({ params }) => ({
      status: 400,
      body: { error: 'invalid_request', error_description: `bad ${params.subject_token}` },
    })
    const echoed = await failure(acting.fetch(shelf, { intent }), AgentTokenError)
    expect(echoed.description).toBe('bad [redacted]')
    expect(stock.requests).toEqual([])
  })

  it('keeps the exchanged tokens of two calls apart', async () => {
    const { issuer, api, client, orders, deputy, received, grant, shelf } = await calledDeputy()
    await client('other').fetch(orders, { intent: { scope: 'orders:read' } })
    const other = api.accepted.at(-1)
    issuer.requests.length = 0
    const one = await deputy.actAs(grant, { subjectToken: received.token })
    const two = await deputy.actAs(grantOf(other?.claims ?? {}), { subjectToken: other?.token ?? '' })
    for (const acting of [one, two, one]) await acting.fetch(shelf, { intent })
    expect(issuer.requests.map(({ params }) => params.subject_token)).toEqual([received.token, other?.token])
  })

  it("does not pass on what it holds by exchange: that is the authorization server's to do", async () => {
    const { deputy, received, grant, onward } = await calledDeputy()
    const acting = await deputy.actAs(grant, { subjectToken: received.token })
    const error = await failure(acting.delegate({ id: 'x', jkt: HASH }, onward), AgentDelegationError)
    expect(error.code).toBe('delegation_link_broken')
  })
})
