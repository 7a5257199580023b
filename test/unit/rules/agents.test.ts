import { expect, test } from 'vitest'
import { createKit, generateKey, type TestKey } from '../../../fixtures/kit.js'
import { outcomeOf, verifierFor } from '../../support/verify.js'

interface Agent {
  readonly id: string
  readonly key: TestKey
  readonly token: string
}

test('a thousand concurrent requests of forty agents: each gets the grant of its agent', async () => {
  const kit = createKit()
  const { verify } = verifierFor(kit)
  const agents = Array.from({ length: 40 }, (_, index): Agent => {
    const id = `agent-${index}`
    const key = generateKey(index % 2 === 0 ? 'ES256' : 'EdDSA')
    const claims = {
      sub: id,
      cnf: { jkt: key.thumbprint },
      intent: kit.intent({ executed_by: id, initiated_by: `user-${index}` }),
    }
    return { id, key, token: kit.token({ claims }) }
  })
  // Every fourth request is a swap: the token of one agent under the key of the next.
  const calls = Array.from({ length: 1000 }, (_, index) => {
    const caller = agents[(index * 7) % 40] as Agent
    const signer = index % 4 === 3 ? (agents[(index * 7 + 1) % 40] as Agent) : caller
    return { caller, signer, request: kit.call({ token: caller.token, proof: { key: signer.key } }) }
  })
  const decisions = await Promise.all(calls.map(({ request }) => verify(request)))
  for (const [index, decision] of decisions.entries()) {
    const { caller, signer } = calls[index] as (typeof calls)[number]
    if (caller !== signer) expect(outcomeOf(decision)).toBe('proof_key_mismatch')
    else {
      expect(decision).toMatchObject({
        grant: {
          agent: { id: caller.id, keyThumbprint: caller.key.thumbprint },
          intent: { executedBy: caller.id, initiatedBy: caller.id.replace('agent', 'user') },
        },
      })
    }
  }
})
