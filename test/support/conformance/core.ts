import { afterAll, describe, expect, test } from 'vitest'
import { groups } from '../../../fixtures/conformance/index.js'
import { allowed, type Expectation, type Row, stepsOf } from '../../../fixtures/conformance/row.js'
import { JWKS_URI, type RowSetup, setupOf } from '../../../fixtures/conformance/run.js'
import { agentKeys, createKit, type Header, type Kit, type WireRequest } from '../../../fixtures/kit.js'
import { type Decision, denials, type Policy, type VerifyRequest } from '../../../src/index.js'
import { assertDenial, assertHeaders, assertNoSecrets } from './assertions.js'
import { shareByPolicy } from './shared.js'

/**
 * Converts headers to one of the forms that the core accepts. Undefined if the form cannot represent them.
 */
export type HeaderForm = (headers: readonly Header[]) => VerifyRequest['headers'] | undefined

/**
 * Runs the table against the core, without a framework. `isShared`: rows with equal policies share a
 * verifier.
 */
export function testCore(formName: string, toHeaders: HeaderForm, { isShared = false } = {}): void {
  const shared = shareByPolicy(open)
  afterAll(() => shared.close())
  const runNew = async (row: Row) => {
    const kit = createKit(row.now)
    const opened = open(row, kit)
    await run(row, toHeaders, { ...opened, kit })
    opened.close()
  }
  const runShared = (row: Row) => shared.use(row, (opened) => run(row, toHeaders, opened))
  for (const [group, rows] of Object.entries(groups)) {
    describe(`${group}, through ${formName}`, () => {
      for (const row of rows) test(`${row.id} ${row.title}`, () => (isShared ? runShared : runNew)(row))
    })
  }
}

/** Every value of each field, as Node collects them. */
export const headersDistinct: HeaderForm = (headers) => {
  const distinct: Record<string, string[]> = {}
  for (const [name, value] of headers) {
    distinct[name.toLowerCase()] = [...(distinct[name.toLowerCase()] ?? []), value]
  }
  return distinct
}

/** Tests a verifier with many requests at the same time. */
export function testManyAtOnce(): void {
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
}

function open(row: Row, kit: Kit) {
  const setup = setupOf(row, kit)
  return { ...setup, close: () => setup.verifier.close() }
}

async function run(row: Row, toHeaders: HeaderForm, opened: RowSetup & { kit: Kit }): Promise<void> {
  const { kit, verifier, policy, fetched } = opened
  fetched.length = 0
  for (const step of stepsOf(row, kit)) {
    kit.advance(step.after ?? 0)
    const request = await step.request(kit)
    const headers = toHeaders(request.headers)
    if (headers === undefined) continue
    const decision = await verifier.verify({ method: request.method, url: request.url, headers })
    kit.nonce = 'headers' in decision ? decision.headers['dpop-nonce'] : undefined
    assertDecision(decision, step.on?.core ?? step.expect, request, policy)
  }
  expect(fetched.filter((url) => row.jwks === undefined || url !== JWKS_URI)).toEqual([])
}

function assertDecision(
  decision: Decision,
  expected: Expectation,
  request: WireRequest,
  policy: Policy,
): void {
  const summary = 'code' in decision ? `${decision.outcome}: ${decision.code}` : decision.outcome
  expect(summary).toBe('code' in expected ? `${expected.outcome}: ${expected.code}` : expected.outcome)
  if ('code' in expected) {
    if (!('code' in decision)) return
    expect(decision.stage).toBe(expected.stage)
    expect(decision.error).toBe(expected.error)
    expect('error' in decision).toBe(expected.error !== undefined)
    expect(decision.description).toBe(denials[expected.code].description)
    assertDenial(decision, expected)
    assertNoSecrets(JSON.stringify(decision), request, policy, decision.headers['dpop-nonce'])
  } else if (expected.outcome !== 'preempted') {
    if (expected.grant !== undefined) expect(decision).toMatchObject({ grant: expected.grant })
    assertHeaders('headers' in decision ? decision.headers : {}, expected)
  }
}
