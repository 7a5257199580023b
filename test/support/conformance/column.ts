import { afterAll, describe, expect, test } from 'vitest'
import { type App, apps, type HandlerAnswer } from '../../../fixtures/conformance/apps.js'
import { groups } from '../../../fixtures/conformance/index.js'
import {
  allowed,
  type Column,
  type Expectation,
  type Row,
  type Step,
  stepsOf,
} from '../../../fixtures/conformance/row.js'
import { JWKS_URI, type RowSetup, setupOf } from '../../../fixtures/conformance/run.js'
import { send, type WireResponse } from '../../../fixtures/conformance/wire.js'
import { createKit, ISSUER, type WireRequest } from '../../../fixtures/kit.js'
import type { Policy } from '../../../src/index.js'
import { assertDenial, assertHeaders, assertNoSecrets, bodyOf } from './assertions.js'
import { type SharedByRows, shareByPolicy } from './shared.js'

interface Target extends RowSetup {
  readonly app: App
  close(): Promise<void>
}

/** Runs the table over sockets against one framework: all rows, or the chosen ones. */
export function testColumn(
  column: Exclude<Column, 'core'>,
  isChosen: (group: string, index: number) => boolean = () => true,
): void {
  const start = apps[column]
  const targets = shareByPolicy<Target>(async (row, kit) => {
    const setup = setupOf(row, kit)
    const app = await start(setup.verifier, setup.policy)
    const close = () => {
      setup.verifier.close()
      return app.close()
    }
    return { ...setup, app, close }
  })
  const rejections: unknown[] = []
  const onRejection = (reason: unknown) => rejections.push(reason)
  process.on('unhandledRejection', onRejection)

  for (const [group, rows] of Object.entries(groups)) {
    describe(`${group}, in ${column}`, () => {
      for (const row of rows.filter((_, index) => isChosen(group, index))) {
        test(`${row.id} ${row.title}`, () => run(row, column, targets))
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

  afterAll(async () => {
    await targets.close()
    process.off('unhandledRejection', onRejection)
    expect(rejections).toEqual([])
  })
}

/** An older major version has the expectation of the current one, unless the row names it. */
function expectationOf(step: Pick<Step, 'on' | 'expect'>, column: Column): Expectation {
  const framework = column.replace(/\d$/, '') as Column
  return step.on?.[column] ?? step.on?.[framework] ?? step.expect
}

async function run(row: Row, column: Column, targets: SharedByRows<Target>): Promise<void> {
  await targets.use(row, async ({ kit, app, policy, fetched }) => {
    fetched.length = 0
    for (const step of stepsOf(row, kit)) {
      kit.advance(step.after ?? 0)
      const request = await step.request(kit)
      const runsBefore = app.handlerRuns()
      const response = await send(app.port, request)
      const runs = app.handlerRuns() - runsBefore
      kit.nonce = response.headers.find(([name]) => name === 'dpop-nonce')?.[1]
      if (row.wire !== undefined) assertParserResponse(response, row.wire, runs)
      else assertResponse(response, runs, expectationOf(step, column), request, policy)
    }
    expect(fetched.filter((url) => row.jwks === undefined || url !== JWKS_URI)).toEqual([])
  })
}

/** Node has refused the request before any middleware: with a status, or by a reset of the connection. */
function assertParserResponse(response: WireResponse, difference: string, runs: number): void {
  const isReset = Number.isNaN(response.status) && response.body === ''
  if (!isReset) expect(String(response.status)).toBe(difference.slice(0, 3))
  expect(runs).toBe(0)
}

/** Compares a response and the number of handler runs with the expectation of a row. */
export function assertResponse(
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
    // A response to HEAD has no body, so only its headers are checked.
    const body = isHead ? bodyOf(expected) : parse(response.body)
    expect(codeOf(body) ?? `status ${response.status}`).toBe(expected.code)
    expect(runs).toBe(0)
    const names = response.headers.map(([name]) => name)
    // No duplicate headers: a second challenge or a second nonce would be ambiguous.
    expect(names.filter((name, index) => names.indexOf(name) !== index)).toEqual([])
    expect(headers['content-type']).toMatch(/^application\/json(;|$)/)
    assertDenial({ status: response.status, headers, body }, expected)
    assertNoSecrets(response.body + JSON.stringify(response.headers), request, policy, headers['dpop-nonce'])
    return
  }
  if (expected.outcome === 'preempted') {
    expect(response.status).toBe(expected.status)
    expect(runs).toBe(0)
    return
  }
  if (!('code' in expected)) assertHeaders(headers, expected)
  if ('framework' in expected) {
    // Allowed, but the framework has no handler for it.
    expect([401, 403, 503]).not.toContain(response.status)
    expect(runs).toBe(0)
    return
  }
  expect([response.status, codeOf(parse(response.body))]).toEqual([200, undefined])
  expect(runs).toBe(1)
  if (isHead) return
  const { grant } = parse(response.body) as HandlerAnswer
  if (expected.outcome === 'allow') {
    // The response is JSON, which omits undefined members. The column of the core checks those.
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
