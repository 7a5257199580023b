import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Decision } from '../../src/index.js'
import { decideMessage, type McpRules } from '../../src/mcp/index.js'
import { call, createMessageDecider, request } from '../support/mcp/message-decisions.js'

const rules: McpRules = {
  tools: { read: {}, pay: { agents: ['another-agent'] }, bound: { arguments: { '/amount': { max: 50 } } } },
  prompts: { open: {}, closed: { agents: ['another-agent'] } },
  resources: { 'docs://open/*': {}, 'docs://*': { agents: ['another-agent'] } },
}

const open = ['initialize', 'ping', 'server/discover', 'tools/list', 'prompts/list', 'resources/list']
const checkedMethods = [
  'tools/call',
  'prompts/get',
  'resources/read',
  'completion/complete',
  'resources/subscribe',
]
const spellings = (text: string) => [text, text.toUpperCase(), ` ${text}`, `${text} `, `${text}\u0000`]

const method = fc.oneof(
  fc.constantFrom(...open, 'resources/templates/list', 'notifications/initialized', 'tasks/list'),
  fc.constantFrom(...checkedMethods, ...checkedMethods),
  fc.constantFrom(...checkedMethods.flatMap(spellings), '__proto__', 'constructor'),
  fc.json().map((text): unknown => JSON.parse(text)),
)
const name = fc.oneof(
  fc.constantFrom(...['read', 'pay', 'bound', 'open', 'closed'].flatMap(spellings)),
  fc.constantFrom(
    '__proto__',
    'constructor',
    'docs://open/a',
    'docs://a',
    'docs://open/../a',
    'docs://open/%2e/a',
  ),
  fc.json().map((text): unknown => JSON.parse(text)),
)
const amount = fc.oneof(fc.constantFrom(50, 51, '50', null, [50], 50.5, -1), fc.double())
const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined, freq: 8 })
const params = fc.record({
  name: optional(name),
  uri: optional(name),
  ref: optional(fc.record({ type: fc.constantFrom('ref/prompt', 'ref/resource', 'x'), name, uri: name })),
  argument: optional(fc.record({ name: fc.constantFrom('x', 'amount'), value: fc.string() })),
  arguments: optional(
    fc.oneof(
      fc.record({ amount }),
      fc.json().map((text): unknown => JSON.parse(text)),
    ),
  ),
})
const message = fc.record({
  jsonrpc: fc.constantFrom('2.0', '2.0', '2.0', '2.0', '1.0', 2),
  id: optional(fc.constantFrom<unknown>(1, 'a', 1, 'a', 0, null, 1.5, {})),
  method: optional(method),
  params: optional(
    fc.oneof({ weight: 8, arbitrary: params }, { weight: 1, arbitrary: fc.constantFrom(null, [], 'x') }),
  ),
  result: fc.option(fc.constant({}), { nil: undefined, freq: 10 }),
})

/** The messages that pass according to the documentation, from the text alone. */
function mayPass(text: string): boolean {
  const body = JSON.parse(text)
  if (body.jsonrpc !== '2.0') return false
  const hasId = typeof body.id === 'string' || Number.isInteger(body.id)
  if (!('method' in body)) return hasId && 'result' in body
  if ('result' in body || typeof body.method !== 'string') return false
  if ('id' in body && !hasId) return false
  if (!hasId) return body.method.startsWith('notifications/') && !isOdd(body.params)
  if (isOdd(body.params)) return false
  const given = body.params ?? {}
  switch (body.method) {
    case 'tools/call':
      if ('arguments' in given && isOdd(given.arguments)) return false
      if (given.name === 'bound')
        return typeof given.arguments?.amount === 'number' && given.arguments.amount <= 50
      return given.name === 'read'
    case 'prompts/get':
      return given.name === 'open' && !('arguments' in given && isOdd(given.arguments))
    case 'resources/read':
    case 'resources/subscribe':
      return given.uri === 'docs://open/a'
    case 'completion/complete':
      if (given.ref?.type === 'ref/resource') return given.ref.uri === 'docs://open/a'
      return given.ref?.type === 'ref/prompt' && given.ref.name === 'open' && 'argument' in given
    default:
      return [...open, 'resources/templates/list'].includes(body.method)
  }
}

function isOdd(value: unknown): boolean {
  return value !== undefined && (typeof value !== 'object' || value === null || Array.isArray(value))
}

async function tell(decision: Decision, body: unknown, headers = {}) {
  const { response } = await decideMessage(rules, body, decision, headers)
  if (response === undefined) return undefined
  return { status: response.status, text: await response.text() }
}

describe('messages of an attacker', () => {
  test('pass exactly where the rules say so', async () => {
    const decision = await createMessageDecider().decide()
    let passed = 0
    await fc.assert(
      fc.asyncProperty(message, async (body) => {
        const text = JSON.stringify(body)
        const told = await tell(decision, JSON.parse(text))
        if (told === undefined) passed++
        expect([text, told === undefined]).toEqual([text, mayPass(text)])
      }),
      { numRuns: 3000 },
    )
    expect(passed).toBeGreaterThan(100)
  })

  test('never end the process, and come back in no answer but for the id', async () => {
    const decision = await createMessageDecider().decide()
    const values = fc.anything({ withBigInt: true, withDate: true, withMap: true, withNullPrototype: true })
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(values, message),
        fc.dictionary(fc.string(), fc.string()),
        async (body, headers) => {
          const told = await tell(decision, body, headers)
          if (told !== undefined) expect([200, 400, 404]).toContain(told.status)
        },
      ),
      { numRuns: 1000 },
    )
    const secret = 'a-secret-of-the-caller'
    for (const body of [
      call(secret),
      request(secret),
      call('bound', { amount: secret }),
      call('pay', { secret }),
    ]) {
      const told = await tell(decision, body, { 'mcp-protocol-version': secret })
      expect(told?.text).not.toContain(secret)
    }
    expect((await tell(decision, call('read'), { 'mcp-name': secret }))?.text).not.toContain(secret)
  })

  test('cost no more than reading them does', async () => {
    const decision = await createMessageDecider().decide()
    const many = Object.fromEntries(Array.from({ length: 100_000 }, (_, at) => [`key-${at}`, at]))
    const long = 'docs://open/'.padEnd(1_000_000, 'a/')
    // Time of the processor, because a busy machine makes a clock run on.
    const start = process.cpuUsage()
    await tell(decision, call('bound', many))
    await tell(decision, request('resources/read', { uri: long }))
    await tell(decision, request('resources/read', { uri: `docs://open/${'%25'.repeat(100_000)}x` }))
    await tell(
      decision,
      request('completion/complete', { ref: { type: 'ref/resource', uri: '{'.repeat(100_000) } }),
    )
    await tell(decision, call('read'), { 'mcp-name': `=?base64?${'A'.repeat(1_000_000)}?=` })
    // Quadratic work on inputs of this length would take minutes.
    expect(process.cpuUsage(start).user / 1000).toBeLessThan(10_000)
  })
})
