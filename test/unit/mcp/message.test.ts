import { describe, expect, test } from 'vitest'
import type { McpRules } from '../../../src/mcp/index.js'
import {
  type Ask,
  briefly,
  call,
  createMessageDecider,
  request,
} from '../../support/mcp/message-decisions.js'

const rules: McpRules = {
  tools: { read_order: {}, größe: {}, '=?base64?eA==?=': {} },
  prompts: { summary: {} },
  resources: { 'orders://*': {} },
  methods: { 'tasks/get': 'authenticated' },
}

async function tell(body: unknown, ask?: Ask): Promise<string> {
  return briefly(await createMessageDecider().tell(rules, body, ask))
}

describe('a body', () => {
  test('that was not parsed is refused', async () => {
    for (const body of [undefined, null, '', '{"jsonrpc":"2.0"}', 17, true]) {
      expect([body, await tell(body)]).toEqual([body, '400 -32700'])
    }
    expect(await tell(Buffer.from(JSON.stringify(call('read_order'))))).toBe('400 -32600')
  })

  test('that is a batch is refused, also one with a single message or with none', async () => {
    for (const body of [[], [call('read_order')], [request('ping'), call('read_order')]]) {
      expect(await tell(body)).toBe('400 -32600')
    }
    const denied = await createMessageDecider().tell(rules, [call('read_order')])
    expect(denied?.body).toMatchObject({ jsonrpc: '2.0', id: null, error: { code: -32600 } })
    expect(denied?.headers.get('content-type')).toBe('application/json')
  })

  test('that is not one JSON-RPC request, notification or response is refused', async () => {
    const good = { jsonrpc: '2.0', id: 1, method: 'ping' }
    const wrong: unknown[] = [
      {},
      { ...good, jsonrpc: '1.0' },
      { ...good, jsonrpc: 2 },
      { id: 1, method: 'ping' },
      { ...good, method: 17 },
      { ...good, method: ['tools/call'] },
      { ...good, method: null },
      { ...good, id: null },
      { ...good, id: 1.5 },
      { ...good, id: true },
      { ...good, id: {} },
      { ...good, params: [] },
      { ...good, params: null },
      { ...good, params: 'name=read_order' },
      { ...good, result: {} },
      { ...good, error: { code: 1, message: '' } },
      { jsonrpc: '2.0', id: 1 },
      { jsonrpc: '2.0', result: {} },
      { jsonrpc: '2.0', id: 1, result: {}, error: { code: 1, message: '' } },
      { jsonrpc: '2.0', method: 'ping' },
      { jsonrpc: '2.0', id: null, method: 'notifications/initialized' },
    ]
    for (const body of wrong) expect([body, await tell(body)]).toEqual([body, '400 -32600'])
  })

  test('whose id cannot be read is answered with id null, else with its own', async () => {
    const { tell: ask } = createMessageDecider()
    expect((await ask(rules, { jsonrpc: '2.0', id: {}, method: 'ping' }))?.body.id).toBeNull()
    expect((await ask(rules, { jsonrpc: '2.0', id: 'a', method: 5 }))?.body.id).toBe('a')
  })

  test('that answers a request of the server passes, as revisions before 2026-07-28 have it', async () => {
    expect(await tell({ jsonrpc: '2.0', id: 1, result: { action: 'accept' } })).toBe('passes')
    expect(await tell({ jsonrpc: '2.0', id: 1, error: { code: -1, message: 'no' } })).toBe('passes')
    expect(await tell({ jsonrpc: '2.0', id: 1, result: {} }, { anonymous: true })).toMatch(/^401/)
  })

  test('with a member __proto__ anywhere, or a number beyond a double, is refused', async () => {
    const texts = [
      '{"jsonrpc":"2.0","id":1,"method":"ping","__proto__":{"method":"tools/call"}}',
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read_order","arguments":{"__proto__":{"a":1}}}}',
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read_order","arguments":{"a":[{"__proto__":null}]}}}',
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read_order","arguments":{"a":1e999}}}',
    ]
    for (const text of texts) expect([text, await tell(JSON.parse(text))]).toEqual([text, '400 -32600'])
    const deep = `${'['.repeat(100_000)}${']'.repeat(100_000)}`
    const text = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read_order","arguments":{"a":${deep}}}}`
    expect(await tell(JSON.parse(text))).toBe('passes')
  })

  test('reads no member that it inherits', async () => {
    const inherited = Object.create({ method: 'ping', id: 1 })
    Object.assign(inherited, { jsonrpc: '2.0' })
    expect(await tell(inherited)).toBe('400 -32600')
    const params = Object.create({ name: 'read_order' })
    expect(await tell({ jsonrpc: '2.0', id: 1, method: 'tools/call', params })).toBe('400 -32600')
  })

  test('is checked by the last of two members of one name, which is the one that the server reads', async () => {
    const twice =
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read_order","name":"refund"}}'
    expect(await tell(JSON.parse(twice))).toBe('200 -32602')
  })

  test('with arguments that are no object is refused', async () => {
    for (const wrong of [null, [], 'x', 5]) expect(await tell(call('read_order', wrong))).toBe('400 -32602')
  })
})

describe('Mcp-Method and Mcp-Name', () => {
  const named = (value: string | string[]) => ({ fields: { 'Mcp-Name': value } })

  test('must equal the body where they are there, with any version header or none', async () => {
    const versions = [{}, { 'mcp-protocol-version': '2026-07-28' }, { 'mcp-protocol-version': '2025-06-18' }]
    for (const version of versions) {
      const fields = { ...version, 'mcp-method': 'tools/call', 'mcp-name': 'read_order' }
      const body = call('read_order')
      expect(await tell(body, { fields })).toBe('passes')
      for (const [name, value] of [
        ['mcp-name', 'refund'],
        ['mcp-name', 'Read_Order'],
        ['mcp-name', ''],
        ['mcp-name', 'read_order, read_order'],
        ['mcp-method', 'tools/list'],
        ['mcp-method', 'Tools/Call'],
        ['mcp-method', ''],
      ] as const) {
        expect([name, value, await tell(body, { fields: { ...fields, [name]: value } })]).toEqual([
          name,
          value,
          '400 -32020',
        ])
      }
    }
  })

  test('that differ are answered with the id of the request', async () => {
    const { tell: ask, told } = createMessageDecider()
    const denied = await ask(rules, call('read_order'), named('refund'))
    expect(told.at(-1)?.[1].cause).toEqual({
      reason: 'Mcp-Name differs from the body',
      found: 'refund',
      unverified: true,
      issuer: 'https://as.example.com',
    })
    expect(denied?.body).toMatchObject({ jsonrpc: '2.0', id: 7, error: { code: -32020 } })
    expect(JSON.stringify(denied?.body)).not.toContain('refund')
  })

  test('allow nothing', async () => {
    const fields = { 'mcp-method': 'tools/call', 'mcp-name': 'read_order' }
    expect(await tell(call('no_such_tool'), { fields })).toBe('400 -32020')
    expect(await tell(undefined, { fields })).toBe('400 -32700')
    expect(await tell(request('tools/call'), { fields })).toBe('400 -32020')
    expect(await tell(request('tools/call', { arguments: {} }), { fields })).toBe('400 -32020')
  })

  test('mirror name, uri or task id, and on other methods nothing', async () => {
    const pass = (method: string, params: object, value: string) =>
      tell(request(method, params), named(value))
    expect(await pass('prompts/get', { name: 'summary' }, 'summary')).toBe('passes')
    expect(await pass('resources/read', { uri: 'orders://1' }, 'orders://1')).toBe('passes')
    expect(await pass('resources/read', { uri: 'orders://1', name: 'x' }, 'x')).toBe('400 -32020')
    expect(await pass('tasks/get', { taskId: 't1' }, 't1')).toBe('passes')
    expect(await pass('tasks/get', { taskId: 't1' }, 't2')).toBe('400 -32020')
    expect(await pass('tools/list', {}, 'read_order')).toBe('400 -32020')
    const ref = { ref: { type: 'ref/resource', uri: 'orders://1' }, argument: { name: 'a', value: '' } }
    expect(await pass('completion/complete', ref, 'orders://1')).toBe('passes')
  })

  test('may be in Base64, in its one spelling', async () => {
    const encode = (text: string) => `=?base64?${Buffer.from(text).toString('base64')}?=`
    expect(await tell(call('größe'), named(encode('größe')))).toBe('passes')
    expect(await tell(call('read_order'), named(encode('read_order')))).toBe('passes')
    expect(await tell(call('=?base64?eA==?='), named(encode('=?base64?eA==?=')))).toBe('passes')
    const wrong = [
      'größe',
      '=?base64?eA==?=',
      encode('refund'),
      encode('read_order').replace('=?base64?', '=?BASE64?'),
      '=?base64?cmVhZF9vcmRlcg?=',
      '=?base64?cmVhZF9vcmRlch==?=',
      '=?base64? cmVhZF9vcmRlcg==?=',
      '=?base64?cmVhZF9v-_==?=',
      '=?base64?/w==?=',
      '=?base64??=',
    ]
    const bodies = [call('read_order'), call('größe'), call('=?base64?eA==?=')]
    for (const value of wrong) {
      for (const body of bodies)
        expect([value, await tell(body, named(value))]).toEqual([value, '400 -32020'])
    }
  })

  test('are read from any kind of header object, and once', async () => {
    const body = call('read_order')
    expect(await tell(body, { fields: { 'MCP-NAME': '\tread_order ' } })).toBe('passes')
    expect(await tell(body, named(['read_order']))).toBe('passes')
    expect(await tell(body, named(['read_order', 'read_order']))).toBe('400 -32020')
    const methods = ['tools/call', 'tools/call']
    expect(await tell(body, { fields: { 'mcp-method': methods.slice(1) } })).toBe('passes')
    expect(await tell(body, { fields: { 'mcp-method': methods } })).toBe('400 -32020')
    expect(await tell(body, { fields: { 'mcp-name': 'read_order', 'Mcp-Name': 'refund' } })).toBe(
      '400 -32020',
    )
    const { decide } = createMessageDecider()
    const { decideMessage } = await import('../../../src/mcp/index.js')
    const headers = new Headers({ 'Mcp-Name': 'refund' })
    expect((await decideMessage(rules, body, await decide(), headers)).response?.status).toBe(400)
  })
})

test('_meta gives no rights', async () => {
  const own: McpRules = { tools: { refund: { agents: ['another-agent'] } } }
  const _meta = {
    scope: 'orders:refund',
    agents: ['another-agent'],
    'io.modelcontextprotocol/authorization': { token: 'x' },
    'io.modelcontextprotocol/clientInfo': { name: 'another-agent' },
  }
  const body = request('tools/call', { name: 'refund', _meta })
  expect(briefly(await createMessageDecider().tell(own, body))).toMatch(/agent_not_allowed/)
  expect(briefly(await createMessageDecider().tell({ tools: {} }, request('x', { _meta })))).toBe(
    '200 -32601',
  )
})
