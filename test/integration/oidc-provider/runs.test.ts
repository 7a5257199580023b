import { decodeJwt } from 'jose'
import type { Adapter, AdapterPayload } from 'oidc-provider'
import { afterAll, describe, expect, it } from 'vitest'
import { memoryRegistry } from '../../../src/oidc-provider/index.js'
import { checksum, ORDERS, refundRequest, shortHash, startWithAgents } from '../../support/agents.js'
import { assertion, newKey, registerClient } from '../../support/independent-client.js'

/** The store of a fleet: one for all models, each behind the interface that oidc-provider asks for. */
function sharedStore() {
  const rows = new Map<string, AdapterPayload>()
  return (model: string): Adapter => {
    const nothing = async () => undefined
    return {
      find: async (id) => rows.get(`${model} ${id}`),
      upsert: async (id, payload) => void rows.set(`${model} ${id}`, payload),
      destroy: async (id) => void rows.delete(`${model} ${id}`),
      findByUserCode: nothing,
      findByUid: nothing,
      consume: nothing,
      revokeByGrantId: nothing,
    }
  }
}

const [registry, adapter] = [memoryRegistry(), sharedStore()]
const { server, client } = await startWithAgents({ runs: 'required', registry, adapter })
const other = await startWithAgents({ runs: 'required', registry, adapter })
afterAll(() => Promise.all([server.close(), other.server.close()]))
const key = await newKey()

const { completed_steps: _, ...issue } = refundRequest()
const look = { ...issue, workflow_step: 'look', scope: 'orders:read' }

async function ask(params: Record<string, string>, at = { server, client }) {
  const { token, response, error } = await at.client.requestToken(params, key)
  if (token === undefined)
    return { error, reason: at.server.refusals.at(-1)?.reason, detail: at.server.refusals.at(-1)?.detail }
  return { run: String(response?.run_id), intent: decodeJwt(token).intent as Record<string, unknown> }
}

describe('a run', () => {
  it('has an id in the answer and in the token, and its steps are what the server recorded', async () => {
    const first = await ask(look)
    expect(first.intent).toMatchObject({ run_id: first.run, step_sequence_hash: shortHash('') })
    const second = await ask({ ...issue, run_id: first.run ?? '' })
    expect(second.intent).toMatchObject({ run_id: first.run, step_sequence_hash: shortHash('look') })
    expect(second.run).toBe(first.run)
    const next = await ask(look)
    expect(next.run).not.toBe(first.run)
  })

  it('is not made up by completed_steps on the first request', async () => {
    expect(await ask({ ...issue, completed_steps: 'look' })).toMatchObject({ reason: 'run_missing' })
    expect(await ask(issue)).toMatchObject({ reason: 'step_out_of_order' })
  })

  it('believes no completed_steps that had no token', async () => {
    const { run_id } = decodeJwt(String((await client.requestToken(look, key)).token)).intent as {
      run_id: string
    }
    const claimed = await ask({ ...issue, run_id, completed_steps: 'look ask' })
    expect(claimed.intent).toMatchObject({ step_sequence_hash: shortHash('look') })
  })

  it('does not go on past a step that was reported failed, until it is tried again', async () => {
    const { run = '' } = await ask(look)
    const failed = await ask({ ...issue, run_id: run, failed_steps: 'look' })
    expect(failed).toMatchObject({ reason: 'step_out_of_order', detail: 'step look has failed in this run' })
    // The report stands, though nobody repeats it.
    expect(await ask({ ...issue, run_id: run })).toMatchObject({ reason: 'step_out_of_order' })
    expect(await ask({ ...look, run_id: run })).toMatchObject({ run })
    expect(await ask({ ...issue, run_id: run })).toMatchObject({ run })
  })

  it('gives no token for a step that was reported ended', async () => {
    const { run = '' } = await ask(look)
    expect(await ask({ ...issue, run_id: run, completed_steps: 'look' })).toMatchObject({ run })
    expect(await ask({ ...look, run_id: run })).toMatchObject({
      reason: 'step_out_of_order',
      detail: 'step look has ended in this run',
    })
  })

  it('is one for the whole fleet', async () => {
    const { run = '' } = await ask(look, other)
    expect(await ask({ ...issue, run_id: run })).toMatchObject({ run })
    const { run: second = '' } = await ask(look)
    await ask({ ...issue, run_id: second, failed_steps: 'look' })
    expect(await ask({ ...issue, run_id: second }, other)).toMatchObject({ reason: 'step_out_of_order' })
  })

  it('is of one workflow and of the agent that began it', async () => {
    const { run = '' } = await ask(look)
    const planner = { agent_id: 'planner', agent_checksum: checksum.planner }
    expect(await ask({ ...issue, ...planner, run_id: run })).toMatchObject({ reason: 'run_unknown' })
    expect(await ask({ ...issue, run_id: crypto.randomUUID() })).toMatchObject({ reason: 'run_unknown' })
    const { workflow_id: _, workflow_step: __, ...none } = issue
    expect(await ask({ ...none, run_id: run })).toMatchObject({ reason: 'run_unknown' })
  })

  it('goes on with another agent under a delegation of the one that began it', async () => {
    const [from, to] = [await newKey(), await newKey()]
    const planner = { agent_id: 'planner', agent_checksum: checksum.planner }
    const begun = await client.requestToken({ ...look, ...planner }, from)
    const hop = {
      from: 'planner',
      fromKey: from,
      to: 'refunder',
      toKey: to,
      aud: ORDERS,
      scope: 'orders:refund',
    }
    const delegation = await assertion({ ...hop, claims: { workflow_id: 'refund' } })
    const run_id = String(begun.response?.run_id)
    const { token } = await client.requestToken({ ...issue, run_id, delegation }, to)
    expect(decodeJwt(String(token)).intent).toMatchObject({ run_id, step_sequence_hash: shortHash('look') })
  })

  it('gives no scope of a step to a request that names no step', async () => {
    const { workflow_step: _, ...whole } = issue
    expect(await ask(whole)).toMatchObject({ error: 'invalid_grant', reason: 'scope_needs_step' })
    const { run = '' } = await ask(look)
    expect(await ask({ ...whole, run_id: run })).toMatchObject({ reason: 'scope_needs_step' })
  })

  it('may be left out where the operator says so, and is then not vouched for', async () => {
    const lenient = await startWithAgents({ runs: 'optional' })
    try {
      const answer = await ask({ ...issue, completed_steps: 'look' }, lenient)
      expect(answer.intent).toMatchObject({ step_sequence_hash: shortHash('look') })
      expect(answer.intent).not.toHaveProperty('run_id')
      const { run = '' } = await ask(look, lenient)
      expect(await ask({ ...issue, run_id: run }, lenient)).toMatchObject({ run })
    } finally {
      await lenient.server.close()
    }
  })

  it('is not begun by a client that may not act as the agent', async () => {
    const stranger = await registerClient(server.issuer)
    expect(await ask(look, { server, client: stranger })).toMatchObject({ reason: 'client_not_permitted' })
  })
})
