import * as oauth from 'oauth4webapi'
import { describe, expect, test } from 'vitest'
import { rows } from '../../fixtures/conformance/index.js'
import { type Refusal, type Row, stepsOf } from '../../fixtures/conformance/row.js'
import { setupOf } from '../../fixtures/conformance/run.js'
import { createKit, type Header, type Kit } from '../../fixtures/kit.js'
import { type Denial, denials } from '../../src/index.js'

/** The first row whose very first request is refused so, and has a challenge. */
function rowFor(code: string): Row | undefined {
  return rows.find((row) => {
    const [first] = stepsOf(row, createKit())
    return first?.expect.outcome === 'deny' && first.expect.code === code && row.wire === undefined
  })
}

async function refuse(row: Row, kit: Kit): Promise<Denial> {
  const { verifier } = setupOf(row, kit)
  const [first] = stepsOf(row, kit)
  const request = await first?.request(kit)
  if (request === undefined) throw new Error('a row without a request')
  const distinct = (headers: readonly Header[]) => {
    const fields: Record<string, string[]> = {}
    for (const [name, value] of headers)
      fields[name.toLowerCase()] = [...(fields[name.toLowerCase()] ?? []), value]
    return fields
  }
  const { method, url, headers } = request
  const decision = await verifier.verify({ method, url, headers: distinct(headers) })
  verifier.close()
  if (decision.outcome !== 'deny') throw new Error(`not refused: ${decision.outcome}`)
  return decision
}

/** The challenge as another library reads it. */
async function challengesOf(denial: Denial): Promise<readonly oauth.WWWAuthenticateChallenge[]> {
  try {
    await oauth.protectedResourceRequest(
      'token',
      'GET',
      new URL('https://orders.example.com/orders/42'),
      undefined,
      null,
      {
        [oauth.customFetch]: async () =>
          new Response(JSON.stringify(denial.body), { status: denial.status, headers: denial.headers }),
      },
    )
  } catch (error) {
    if (error instanceof oauth.WWWAuthenticateChallengeError) return error.cause
    throw error
  }
  throw new Error('no challenge was found')
}

describe('A295 a client of another make reads every challenge', () => {
  const codes = Object.entries(denials).filter(([, { status }]) => status === 401 || status === 403)
  for (const [code, { error, description }] of codes) {
    const row = rowFor(code)
    if (row === undefined) continue
    test(`${code}, as in ${row.id}`, async () => {
      const kit = createKit(row.now)
      const challenges = await challengesOf(await refuse(row, kit))
      const expected = stepsOf(row, kit)[0]?.expect as Refusal
      expect(challenges[0]?.scheme).toBe('dpop')
      for (const { parameters } of challenges) {
        if ('algs' in parameters) expect(parameters.algs).toMatch(/^\w+( \w+)*$/)
        expect(parameters.resource_metadata).toMatch(/^https:\/\//)
      }
      const { parameters = {} } = challenges[0] ?? {}
      expect(parameters.error).toBe(expected.error)
      expect(parameters.error_description).toBe(error === undefined ? undefined : description)
      expect(parameters.algs).toBeDefined()
    })
  }

  test('has a row for all but what only a second request, or the rule of a handler, meets', () => {
    const without = codes.map(([code]) => code).filter((code) => rowFor(code) === undefined)
    expect(without).toEqual([
      'token_reused',
      'argument_not_allowed',
      'tool_not_declared',
      'session_not_yours',
    ])
  })
})
