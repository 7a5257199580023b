import { describe, expect, test } from 'vitest'
import { groups, rows } from '../../fixtures/conformance/index.js'
import type { Expectation, Row } from '../../fixtures/conformance/row.js'
import { stepsOf } from '../../fixtures/conformance/row.js'
import { benchOf, JWKS_URI } from '../../fixtures/conformance/run.js'
import { createKit, type Header, type WireRequest } from '../../fixtures/kit.js'
import { type Decision, type DenialCode, denials, type Policy, type VerifyRequest } from '../../src/index.js'
import { judgeHeaders, judgeRefusal, judgeSilence } from './judge.js'

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

/** Codes that belong to checks whose rows stand elsewhere. */
const elsewhere: DenialCode[] = [
  'delegation_malformed',
  'delegation_too_deep',
  'delegation_link_broken',
  'delegation_scope_widened',
  'delegation_expired',
  'delegation_context_mismatch',
  'delegation_loop',
  'delegation_hash_mismatch',
  'delegation_signature_invalid',
  'delegation_required',
  'delegation_not_allowed',
]

describe('the table', () => {
  test('has each id once', () => {
    const ids = rows.map((row) => row.id)
    expect(ids.filter((id, index) => ids.indexOf(id) !== index)).toEqual([])
  })

  test('has a row for every code', () => {
    const kit = createKit()
    const seen = new Set<string>(elsewhere)
    for (const row of rows) {
      for (const { expect: expected } of stepsOf(row, kit)) if ('code' in expected) seen.add(expected.code)
    }
    expect(Object.keys(denials).filter((code) => !seen.has(code))).toEqual([])
  })
})
