import { afterAll, describe, expect, test } from 'vitest'
import { apps, type HandlerAnswer, type StartApp } from '../../../fixtures/conformance/apps.js'
import { groups } from '../../../fixtures/conformance/index.js'
import {
  allowed,
  type Column,
  type Expectation,
  type Row,
  type Step,
  stepsOf,
} from '../../../fixtures/conformance/row.js'
import { JWKS_URI, setupOf } from '../../../fixtures/conformance/run.js'
import { send, type WireResponse } from '../../../fixtures/conformance/wire.js'
import { createKit, ISSUER, type WireRequest } from '../../../fixtures/kit.js'
import type { Policy } from '../../../src/index.js'
import { bodyOf, judgeHeaders, judgeRefusal, judgeSilence } from './judge.js'

/** Runs the table over a real socket against one framework: all of it, or the rows that are chosen. */
export function testColumn(
  column: Exclude<Column, 'core'>,
  isChosen: (group: string, index: number) => boolean = () => true,
): void {
  const start = apps[column]
  const rejections: unknown[] = []
  const onRejection = (reason: unknown) => rejections.push(reason)
  process.on('unhandledRejection', onRejection)

  for (const [group, rows] of Object.entries(groups)) {
    describe(`${group}, in ${column}`, () => {
      for (const row of rows.filter((_, index) => isChosen(group, index))) {
        test(`${row.id} ${row.title}`, () => run(row, column, start))
      }
    })
  }

  test('A163 of 20 identical requests at once, one runs a handler', async () => {
    const kit = createKit()
    const row: Row = { id: 'A163', title: '', clause: '', request: () => kit.call(), expect: allowed() }
    const { verifier, policy } = setupOf(row, kit)
    const app = await start(verifier, policy)
    try {
      const request = kit.call()
      const responses = await Promise.all(Array.from({ length: 20 }, () => send(app.port, request)))
      expect(app.handlerRuns()).toBe(1)
      expect(responses.map(({ status }) => status).sort()).toEqual([200, ...Array(19).fill(401)])
    } finally {
      await app.close()
    }
  })

  afterAll(() => {
    process.off('unhandledRejection', onRejection)
    expect(rejections).toEqual([])
  })
}

/** An older major of a framework differs from the core as its successor does, unless the row names it. */
function expectationOf(step: Pick<Step, 'on' | 'expect'>, column: Column): Expectation {
  const framework = column.replace(/\d$/, '') as Column
  return step.on?.[column] ?? step.on?.[framework] ?? step.expect
}

async function run(row: Row, column: Column, start: StartApp): Promise<void> {
  const kit = createKit(row.now)
  const { verifier, policy, fetched } = setupOf(row, kit)
  const app = await start(verifier, policy)
  try {
    for (const step of stepsOf(row, kit)) {
      kit.advance(step.after ?? 0)
      const request = await step.request(kit)
      const runsBefore = app.handlerRuns()
      const response = await send(app.port, request)
      const runs = app.handlerRuns() - runsBefore
      kit.nonce = response.headers.find(([name]) => name === 'dpop-nonce')?.[1]
      if (row.wire !== undefined) judgeParser(response, row.wire, runs)
      else judge(response, runs, expectationOf(step, column), request, policy)
    }
  } finally {
    verifier.close()
    await app.close()
  }
  expect(fetched.filter((url) => row.jwks === undefined || url !== JWKS_URI)).toEqual([])
}

/** Node's parser has refused the request: no middleware has seen it. */
function judgeParser(response: WireResponse, difference: string, runs: number): void {
  expect(String(response.status)).toBe(difference.slice(0, 3))
  expect(runs).toBe(0)
}

/** Compares a response with what a row expects, and the number of handlers that have run. */
export function judge(
  response: WireResponse,
  runs: number,
  expected: Expectation,
  request: WireRequest,
  policy: Policy,
): void {
  const isHead = request.method === 'HEAD'
  const headers = Object.fromEntries(response.headers)
  if ('code' in expected && expected.outcome === 'deny') {
    if (isHead) expect(response.body).toBe('')
    // An answer to HEAD has no body: only its fields are judged.
    const body = isHead ? bodyOf(expected) : parse(response.body)
    expect(codeOf(body) ?? `status ${response.status}`).toBe(expected.code)
    expect(runs).toBe(0)
    const names = response.headers.map(([name]) => name)
    // One field of each name: a second challenge or a second nonce would be read in two ways.
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([])
    expect(headers['content-type']).toMatch(/^application\/json(;|$)/)
    judgeRefusal({ status: response.status, headers, body }, expected)
    judgeSilence(response.body + JSON.stringify(response.headers), request, policy, headers['dpop-nonce'])
    return
  }
  if (expected.outcome === 'preempted') {
    expect(response.status).toBe(expected.status)
    expect(runs).toBe(0)
    return
  }
  if (!('code' in expected)) judgeHeaders(headers, expected)
  if ('framework' in expected) {
    // Let through, to a framework that has no handler for it.
    expect([401, 403, 503]).not.toContain(response.status)
    expect(runs).toBe(0)
    return
  }
  expect([response.status, codeOf(parse(response.body))]).toEqual([200, undefined])
  expect(runs).toBe(1)
  if (isHead) return
  const { grant } = parse(response.body) as HandlerAnswer
  if (expected.outcome === 'allow') {
    // The answer came as JSON, which leaves out what is undefined. The core's own column judges that.
    expect(grant).toMatchObject(JSON.parse(JSON.stringify(expected.grant ?? { issuer: ISSUER })))
  } else expect(grant).toBeNull()
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

function codeOf(body: unknown): unknown {
  return typeof body === 'object' && body !== null && 'code' in body ? body.code : undefined
}
