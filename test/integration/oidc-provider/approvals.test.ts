import { createHash } from 'node:crypto'
import { decodeJwt } from 'jose'
import { afterAll, describe, expect, it } from 'vitest'
import { memoryRegistry, type Registry } from '../../../src/oidc-provider/index.js'
import { refundRequest, startWithAgents } from '../../support/agents.js'
import { newKey } from '../../support/independent-client.js'

const { server, client } = await startWithAgents({
  workflows: {
    refund: [
      { id: 'look', scopes: ['orders:read'] },
      { id: 'issue', scopes: ['orders:refund'], approval: 'once' },
    ],
  },
})
afterAll(() => server.close())
const key = await newKey()

const hashOf = (text: string) => createHash('sha256').update(text).digest('base64url')
const approve = (user: string, intentHash: string, acr = 'phr') =>
  server.registry.approve({ user, intentHash, agentId: 'refunder', acr, amr: ['hwk'], authTime: 7 })

async function ask(intent_hash: string, over: Record<string, string> = {}) {
  const { token } = await client.requestToken(refundRequest({ intent_hash, ...over }), key)
  if (token === undefined) return { reason: server.refusals.at(-1)?.reason }
  const { acr, intent } = decodeJwt(token)
  return { acr, intent: intent as Record<string, unknown> }
}
const look = { workflow_step: 'look', completed_steps: '', scope: 'orders:read' }

describe('an approval', () => {
  it('is the latest one, so that the same text can be approved anew with a stronger factor', async () => {
    const hash = hashOf('a refund, step-up')
    approve('user:alice', hash, 'pwd')
    expect(await ask(hash, look)).toMatchObject({ acr: 'pwd' })
    approve('user:alice', hash, 'phr')
    expect(await ask(hash, look)).toMatchObject({ acr: 'phr' })
  })

  it('shows the person who gave it, and not another one who approved the same text', async () => {
    const hash = hashOf('a refund, two persons')
    approve('user:alice', hash, 'alice')
    approve('user:bob', hash, 'bob')
    const alice = { acr: 'alice', intent: { initiated_by: 'user:alice', initiator_type: 'user' } }
    expect(await ask(hash, { ...look, approved_by: 'user:alice' })).toMatchObject(alice)
    expect(await ask(hash, { ...look, approved_by: 'user:carol' })).not.toHaveProperty(
      'acr',
      expect.anything(),
    )
    // If nobody is named, the latest counts.
    expect(await ask(hash, look)).toMatchObject({ acr: 'bob', intent: { initiated_by: 'user:bob' } })
    // The run goes on under the person whom it began under, whoever approved the text since.
    const begun = await ask(hash, { ...look, approved_by: 'user:alice' })
    const run = { completed_steps: '', run_id: String(begun.intent?.run_id) }
    approve('user:bob', hash, 'bob')
    expect(await ask(hash, { ...run, approved_by: 'user:bob' })).toEqual({ reason: 'approval_missing' })
    expect(await ask(hash, run)).toMatchObject(alice)
  })

  it('is used up by a step that says so, and by one of two requests at once', async () => {
    const hash = hashOf('a refund, once')
    approve('user:alice', hash)
    const answers = await Promise.all([ask(hash), ask(hash), ask(hash)])
    expect(answers.filter(({ acr }) => acr === 'phr')).toHaveLength(1)
    expect(await ask(hash)).toEqual({ reason: 'approval_missing' })
    approve('user:alice', hash)
    expect(await ask(hash)).toMatchObject({ acr: 'phr' })
  })

  it('that nobody gave puts no intent_hash into a token', async () => {
    const { intent } = await ask(hashOf('never approved'), look)
    expect(intent).not.toHaveProperty('intent_hash')
    expect(intent).toMatchObject({ initiated_by: 'refunder', initiator_type: 'agent' })
  })

  it('of a person who has the name of an agent is refused, whatever registry holds it', async () => {
    const hash = hashOf('a refund, by an agent')
    expect(() => approve('planner', hash)).toThrow('"planner" is the id of an agent')
    const inner = memoryRegistry()
    const registry: Registry & typeof inner = {
      ...inner,
      approval: () => ({
        id: '1',
        user: 'planner',
        intentHash: hash,
        agentId: 'refunder',
        acr: 'phr',
        amr: [],
        authTime: 7,
      }),
    }
    const lax = await startWithAgents({ registry })
    try {
      const { error } = await lax.client.requestToken(refundRequest({ intent_hash: hash }), key)
      expect([error, lax.server.refusals.at(-1)?.reason]).toEqual(['invalid_grant', 'person_is_agent'])
    } finally {
      await lax.server.close()
    }
  })
})
