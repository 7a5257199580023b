import { describe, expect, test } from 'vitest'
import { rows } from '../../fixtures/conformance/index.js'
import { allowed, type Row, stepsOf } from '../../fixtures/conformance/row.js'
import { setupOf } from '../../fixtures/conformance/run.js'
import { agentKeys, createKit } from '../../fixtures/kit.js'
import { denials } from '../../src/index.js'
import { testCore } from '../support/conformance/core.js'

testCore("Node's headersDistinct", (headers) => {
  const distinct: Record<string, string[]> = {}
  for (const [name, value] of headers) {
    distinct[name.toLowerCase()] = [...(distinct[name.toLowerCase()] ?? []), value]
  }
  return distinct
})

describe('at the same time', () => {
  const row: Row = { id: 'A163', title: '', clause: '', request: (kit) => kit.call(), expect: allowed() }

  test('A163 of 100 identical proofs, one is accepted', async () => {
    const kit = createKit()
    const { verifier } = setupOf(row, kit)
    const { method, url, headers } = kit.call()
    const request = { method, url, headers: Object.fromEntries(headers) }
    const decisions = await Promise.all(Array.from({ length: 100 }, () => verifier.verify(request)))
    const outcomes = decisions.map((decision) => ('code' in decision ? decision.code : decision.outcome))
    expect(outcomes.filter((outcome) => outcome === 'allow')).toHaveLength(1)
    expect(outcomes.filter((outcome) => outcome === 'proof_replayed')).toHaveLength(99)
  })

  test('A259 of 100 agents, each is taken for itself', async () => {
    const kit = createKit()
    const { verifier } = setupOf(row, kit)
    const ids = Array.from({ length: 100 }, (_, index) => `agent-${index}`)
    const granted = await Promise.all(
      ids.map(async (id, index) => {
        const key = index % 2 === 0 ? agentKeys.seven : agentKeys.eight
        const claims = { sub: id, intent: kit.intent({ executed_by: id }), cnf: { jkt: key.thumbprint } }
        const { method, url, headers } = kit.call({ token: { claims }, proof: { key } })
        const decision = await verifier.verify({ method, url, headers: Object.fromEntries(headers) })
        return decision.outcome === 'allow' ? decision.grant.agent.id : decision.outcome
      }),
    )
    expect(granted).toEqual(ids)
  })
})

describe('the table', () => {
  test('has each id once', () => {
    const ids = rows.map((row) => row.id)
    expect(ids.filter((id, index) => ids.indexOf(id) !== index)).toEqual([])
  })

  test('has a row for every code', () => {
    const kit = createKit()
    const seen = new Set<string>()
    for (const row of rows) {
      for (const { expect: expected } of stepsOf(row, kit)) if ('code' in expected) seen.add(expected.code)
    }
    // Only rules of handlers judge the content of a request: test/unit/middleware and test/unit/mcp have those.
    expect(Object.keys(denials).filter((code) => !seen.has(code))).toEqual([
      'message_malformed',
      'argument_not_allowed',
      'tool_not_declared',
      'session_not_yours',
    ])
  })
})
