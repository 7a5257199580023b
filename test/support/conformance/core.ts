import { describe, expect, test } from 'vitest'
import { groups } from '../../../fixtures/conformance/index.js'
import { type Expectation, type Row, stepsOf } from '../../../fixtures/conformance/row.js'
import { JWKS_URI, setupOf } from '../../../fixtures/conformance/run.js'
import { createKit, type Header, type WireRequest } from '../../../fixtures/kit.js'
import { type Decision, denials, type Policy, type VerifyRequest } from '../../../src/index.js'
import { assertDenial, assertHeaders, assertNoSecrets } from './assertions.js'

/**
 * Converts headers to one of the forms that the core accepts. Undefined if the form cannot represent them.
 */
export type HeaderForm = (headers: readonly Header[]) => VerifyRequest['headers'] | undefined

/** Runs the table against the core, without a framework. */
export function testCore(formName: string, toHeaders: HeaderForm): void {
  for (const [group, rows] of Object.entries(groups)) {
    describe(`${group}, through ${formName}`, () => {
      for (const row of rows) test(`${row.id} ${row.title}`, () => run(row, toHeaders))
    })
  }
}

async function run(row: Row, toHeaders: HeaderForm): Promise<void> {
  const kit = createKit(row.now)
  const { verifier, policy, fetched } = setupOf(row, kit)
  for (const step of stepsOf(row, kit)) {
    kit.advance(step.after ?? 0)
    const request = await step.request(kit)
    const headers = toHeaders(request.headers)
    if (headers === undefined) continue
    const decision = await verifier.verify({ method: request.method, url: request.url, headers })
    kit.nonce = 'headers' in decision ? decision.headers['dpop-nonce'] : undefined
    assertDecision(decision, step.on?.core ?? step.expect, request, policy)
  }
  verifier.close()
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
