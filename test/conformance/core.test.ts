import { describe, expect, test } from 'vitest'
import { groups, rows } from '../../fixtures/conformance/index.js'
import type { Expectation, Row } from '../../fixtures/conformance/row.js'
import { allowed, stepsOf } from '../../fixtures/conformance/row.js'
import { benchOf, JWKS_URI } from '../../fixtures/conformance/run.js'
import { agentKeys, createKit, type Header, type WireRequest } from '../../fixtures/kit.js'
import { type Decision, denials, type Policy, type VerifyRequest } from '../../src/index.js'
import { judgeHeaders, judgeRefusal, judgeSilence } from '../support/conformance/judge.js'

type HeaderForm = (headers: readonly Header[]) => VerifyRequest['headers'] | undefined

/** The two forms in which a request's fields reach the core. */
const forms: Record<string, HeaderForm> = {
  "Node's headersDistinct": (headers) => {
    const distinct: Record<string, string[]> = {}
    for (const [name, value] of headers) {
      distinct[name.toLowerCase()] = [...(distinct[name.toLowerCase()] ?? []), value]
    }
    return distinct
  },
  'a Fetch Headers': (headers) => {
    const fetchHeaders = new Headers()
    try {
      for (const [name, value] of headers) fetchHeaders.append(name, value)
    } catch {
      // Fetch itself refuses such a value: no Request can hold it.
      return undefined
    }
    return fetchHeaders
  },
}

for (const [formName, toHeaders] of Object.entries(forms)) {
  for (const [group, rowsOfGroup] of Object.entries(groups)) {
    describe(`${group}, through ${formName}`, () => {
      for (const row of rowsOfGroup) test(`${row.id} ${row.title}`, () => run(row, toHeaders))
    })
  }
}

async function run(row: Row, toHeaders: HeaderForm): Promise<void> {
  const kit = createKit(row.now)
  const { verifier, policy, fetched } = benchOf(row, kit)
  for (const step of stepsOf(row, kit)) {
    kit.advance(step.after ?? 0)
    const request = await step.request(kit)
    const headers = toHeaders(request.headers)
    if (headers === undefined) continue
    const decision = await verifier.verify({ method: request.method, url: request.url, headers })
    kit.nonce = 'headers' in decision ? decision.headers['dpop-nonce'] : undefined
    judge(decision, step.on?.core ?? step.expect, request, policy)
  }
  verifier.close()
  expect(fetched.filter((url) => row.jwks === undefined || url !== JWKS_URI)).toEqual([])
}

function judge(decision: Decision, expected: Expectation, request: WireRequest, policy: Policy): void {
  const summary = 'code' in decision ? `${decision.outcome}: ${decision.code}` : decision.outcome
  expect(summary).toBe('code' in expected ? `${expected.outcome}: ${expected.code}` : expected.outcome)
  if ('code' in expected) {
    if (!('code' in decision)) return
    expect(decision.stage).toBe(expected.stage)
    expect(decision.error).toBe(expected.error)
    expect('error' in decision).toBe(expected.error !== undefined)
    expect(decision.description).toBe(denials[expected.code].description)
    judgeRefusal(decision, expected)
    judgeSilence(JSON.stringify(decision), request, policy, decision.headers['dpop-nonce'])
  } else if (expected.outcome !== 'preempted') {
    if (expected.grant !== undefined) expect(decision).toMatchObject({ grant: expected.grant })
    judgeHeaders('headers' in decision ? decision.headers : {}, expected)
  }
}

describe('at the same time', () => {
  const row: Row = { id: 'A163', title: '', clause: '', request: (kit) => kit.call(), expect: allowed() }

  test('A163 of 100 identical proofs, one is accepted', async () => {
    const kit = createKit()
    const { verifier } = benchOf(row, kit)
    const { method, url, headers } = kit.call()
    const request = { method, url, headers: Object.fromEntries(headers) }
    const decisions = await Promise.all(Array.from({ length: 100 }, () => verifier.verify(request)))
    const outcomes = decisions.map((decision) => ('code' in decision ? decision.code : decision.outcome))
    expect(outcomes.filter((outcome) => outcome === 'allow')).toHaveLength(1)
    expect(outcomes.filter((outcome) => outcome === 'proof_replayed')).toHaveLength(99)
  })

  test('A259 of 100 agents, each is taken for itself', async () => {
    const kit = createKit()
    const { verifier } = benchOf(row, kit)
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
    expect(Object.keys(denials).filter((code) => !seen.has(code))).toEqual([])
  })
})
