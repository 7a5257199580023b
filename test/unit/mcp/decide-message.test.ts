import { describe, expect, test } from 'vitest'
import { createVerifier } from '../../../src/index.js'
import { decideMessage, type McpMessage, type McpRules } from '../../../src/mcp/index.js'
import { briefly, call, createMessageDecider, request } from '../../support/mcp/message-decisions.js'

const rules: McpRules = {
  tools: {
    read_order: { scope: 'orders:read' },
    refund: { scope: 'orders:refund', intent: { workflow: 'refund', step: 'issue' } },
    delete_order: { agents: ['another-agent'] },
  },
  prompts: { summary: { scope: 'orders:read' } },
  resources: { 'orders://*': { scope: 'orders:read' } },
  methods: { 'logging/setLevel': 'authenticated', 'tasks/get': { scope: 'tasks' } },
}

describe('tools/call', () => {
  test('passes where the rule of the tool is met', async () => {
    const { tell } = createMessageDecider()
    expect(await tell(rules, call('read_order'), { claims: { scope: 'orders:read' } })).toBeUndefined()
  })

  test('is HTTP 403 with a challenge for the scopes of the route and the tool, where one is missing', async () => {
    const { tell, told } = createMessageDecider({ routes: { '* /mcp': { scope: 'mcp' } } })
    const denied = await tell(rules, call('read_order'), { claims: { scope: 'mcp' } })
    expect(briefly(denied)).toBe('403 scope_insufficient')
    expect(denied?.headers.get('www-authenticate')).toMatch(
      /^DPoP error="insufficient_scope".*scope="mcp orders:read".*resource_metadata="https:/,
    )
    expect(denied?.body).toMatchObject({ error: 'insufficient_scope', code: 'scope_insufficient' })
    expect(told.at(-1)?.[0]).toMatchObject({ outcome: 'deny', code: 'scope_insufficient' })
    expect(told.at(-1)?.[1]).toMatchObject({ overrules: 'allow', route: '/mcp' })
  })

  test('names the scopes of no other tool, and of every rule of the call', async () => {
    const { tell } = createMessageDecider()
    const ask = { claims: { scope: 'none' } }
    await tell(rules, call('refund'), ask)
    const denied = await tell(rules, call('read_order'), ask)
    expect(denied?.headers.get('www-authenticate')).toContain('scope="orders:read"')
    const both = { ...rules, methods: { 'tools/call': { scope: 'tools' } } }
    const first = await tell(both, call('read_order'), ask)
    expect(first?.headers.get('www-authenticate')).toContain('scope="tools orders:read"')
  })

  test('is a tool result for the model, where no other token can mend it', async () => {
    const { tell, told } = createMessageDecider()
    const denied = await tell(rules, call('delete_order'))
    expect(told.at(-1)?.[1]).toMatchObject({ target: 'tools delete_order', agent: 'agent-7' })
    expect(denied?.status).toBe(200)
    expect(denied?.body).toEqual({
      jsonrpc: '2.0',
      id: 7,
      result: {
        content: [{ type: 'text', text: expect.stringContaining('agent_not_allowed') }],
        isError: true,
        _meta: {
          'io.modelcontextprotocol/authorization': {
            reason: 'insufficient_authorization',
            remediation: 'unavailable',
          },
          'ajwt/code': 'agent_not_allowed',
        },
      },
    })
    expect(denied?.headers.get('content-type')).toBe('application/json')
    expect(denied?.headers.get('cache-control')).toBe('no-store')
    expect(denied?.headers.has('www-authenticate')).toBe(false)
    expect(JSON.stringify(denied?.body)).not.toContain('another-agent')
    expect(told.at(-1)?.[0]).toMatchObject({ code: 'agent_not_allowed', status: 403 })
  })

  test('has a result type since 2026-07-28, as the header or the body says', async () => {
    const { tell } = createMessageDecider()
    const fields = { 'MCP-Protocol-Version': '2026-07-28' }
    const byHeader = await tell(rules, call('delete_order'), { fields })
    expect(byHeader?.body.result).toMatchObject({ resultType: 'complete' })
    const _meta = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' }
    const byBody = await tell(rules, request('tools/call', { name: 'delete_order', _meta }))
    expect(byBody?.body.result).toMatchObject({ resultType: 'complete' })
    const old = await tell(rules, call('delete_order'), { fields: { 'mcp-protocol-version': '2025-11-25' } })
    expect(old?.body.result).not.toHaveProperty('resultType')
  })

  test('is an HTTP status for every denial, under denials: http', async () => {
    const { tell } = createMessageDecider()
    const ask = { denials: 'http' } as const
    expect(briefly(await tell(rules, call('delete_order'), ask))).toBe('403 agent_not_allowed')
    expect(briefly(await tell(rules, call('no_such_tool'), ask))).toBe('403 tool_not_declared')
    expect(briefly(await tell(rules, request('no/such'), ask))).toBe('403 tool_not_declared')
  })

  test('of a tool that no rule names is -32602, also for other letters and inherited names', async () => {
    const { tell, told } = createMessageDecider()
    const names = ['no_such_tool', 'Read_Order', 'READ_ORDER', ' read_order', '__proto__', 'constructor']
    for (const name of [...names, 'toString', 'hasOwnProperty', '', 17, null, ['read_order'], {}]) {
      const denied = await tell(rules, call(name), { claims: { scope: 'orders:read' } })
      expect([name, briefly(denied)]).toEqual([name, '200 -32602'])
      expect(denied?.body).toMatchObject({ id: 7, error: { data: { code: 'tool_not_declared' } } })
      expect(told.at(-1)?.[0]).toMatchObject({ code: 'tool_not_declared' })
    }
    expect(briefly(await tell(rules, request('tools/call')))).toBe('200 -32602')
  })

  test('can name a tool as an object does its own members', async () => {
    const { tell } = createMessageDecider()
    const odd: McpRules = { tools: { constructor: {}, toString: { scope: 'never' } } }
    expect(briefly(await tell(odd, call('constructor')))).toBe('passes')
    expect(briefly(await tell(odd, call('toString')))).toBe('403 scope_insufficient')
    expect(briefly(await tell(odd, call('valueOf')))).toBe('200 -32602')
  })

  test('needs an id, so that no answer is lost', async () => {
    const { tell } = createMessageDecider()
    const params = { name: 'read_order' }
    const told = await tell(rules, { jsonrpc: '2.0', method: 'tools/call', params })
    expect(briefly(told)).toBe('400 -32600')
    expect(briefly(await tell(rules, request('tools/call', params, null)))).toBe('400 -32600')
  })

  test('is 401 without a token, and as the verifier has it where the request is denied', async () => {
    const { tell } = createMessageDecider()
    const denied = await tell(rules, call('read_order'), { anonymous: true })
    expect(briefly(denied)).toBe('401 credentials_missing')
    expect(denied?.headers.get('www-authenticate')).toContain('resource_metadata=')
    const open = createMessageDecider({ routes: { 'POST /mcp': 'public' } })
    const rest = [call('read_order'), call('no_such_tool'), request('initialize'), request('no/such')]
    for (const message of rest) {
      const told = await open.tell(rules, message, { anonymous: true })
      expect(briefly(told)).toBe('401 credentials_missing')
    }
  })

  test('is denied with the response of the verifier where the route itself is denied', async () => {
    const { tell } = createMessageDecider({ routes: { '* /mcp': { agents: ['another-agent'] } } })
    expect(briefly(await tell(rules, call('read_order')))).toBe('403 agent_not_allowed')
    expect(briefly(await tell(rules, []))).toBe('403 agent_not_allowed')
  })

  test('is checked by the rule of its method too, which cannot name a tool', async () => {
    const { tell } = createMessageDecider()
    const both: McpRules = { ...rules, methods: { 'tools/call': 'authenticated' } }
    expect(briefly(await tell(both, call('no_such_tool')))).toBe('200 -32602')
    const strict: McpRules = { ...rules, methods: { 'tools/call': { scope: 'tools' } } }
    const claims = { scope: 'orders:read' }
    expect(briefly(await tell(strict, call('read_order'), { claims }))).toBe('403 scope_insufficient')
  })
})

describe('methods', () => {
  test.each(['initialize', 'ping', 'server/discover', 'tools/list', 'prompts/list', 'resources/list'])(
    '%s needs no rule, only a caller who has authenticated',
    async (method) => {
      const { tell } = createMessageDecider()
      expect(briefly(await tell(rules, request(method)))).toBe('passes')
      expect(briefly(await tell(rules, request(method), { anonymous: true }))).toBe('401 credentials_missing')
      const own = { ...rules, methods: { [method]: { scope: 'list' } } }
      expect(briefly(await tell(own, request(method)))).toBe('403 scope_insufficient')
    },
  )

  test('a notification needs no rule. With an id it is a request of an unknown method', async () => {
    const { tell } = createMessageDecider()
    const notice = { jsonrpc: '2.0', method: 'notifications/initialized' }
    expect(briefly(await tell(rules, notice))).toBe('passes')
    expect(briefly(await tell(rules, { ...notice, id: 1 }))).toBe('200 -32601')
    const own = { ...rules, methods: { 'notifications/initialized': { agents: ['another-agent'] } } }
    expect(briefly(await tell(own, notice))).toBe('403 agent_not_allowed')
  })

  test('any other is unknown, unless methods names it', async () => {
    const { tell } = createMessageDecider()
    for (const method of ['tasks/list', 'tools/Call', 'tools/call ', 'constructor', '__proto__', '']) {
      expect([method, briefly(await tell(rules, request(method)))]).toEqual([method, '200 -32601'])
    }
    expect(briefly(await tell(rules, request('logging/setLevel')))).toBe('passes')
    expect(briefly(await tell(rules, request('tasks/get', { taskId: 't' })))).toBe('403 scope_insufficient')
  })

  test('an unknown one is HTTP 404 since 2026-07-28, and before 200: 404 meant an ended session', async () => {
    const { tell } = createMessageDecider()
    const fields = { 'mcp-protocol-version': '2026-07-28' }
    expect(briefly(await tell(rules, request('no/such'), { fields }))).toBe('404 -32601')
    expect(briefly(await tell(rules, request('no/such')))).toBe('200 -32601')
    expect(briefly(await tell(rules, call('no_such_tool'), { fields }))).toBe('200 -32602')
  })

  test('a subscription to an unknown resource is an unknown method since 2026-07-28', async () => {
    const { tell } = createMessageDecider()
    const fields = { 'mcp-protocol-version': '2026-07-28' }
    for (const method of ['resources/subscribe', 'resources/unsubscribe']) {
      const message = request(method, { uri: 'test://unknown' })
      expect(briefly(await tell(rules, message, { fields }))).toBe('404 -32601')
      expect(briefly(await tell(rules, message))).toBe('200 -32602')
    }
  })

  test('GET and DELETE without a body pass for a caller who has authenticated', async () => {
    const { tell } = createMessageDecider()
    for (const method of ['GET', 'DELETE', 'HEAD']) {
      for (const body of [undefined, null, {}]) {
        expect(briefly(await tell(rules, body, { method }))).toBe('passes')
      }
      expect(briefly(await tell(rules, call('delete_order'), { method }))).toMatch(/agent_not_allowed/)
    }
    const open = createMessageDecider({ routes: { '* /mcp': 'public' } })
    expect(briefly(await open.tell(rules, undefined, { method: 'GET', anonymous: true }))).toMatch(/^401/)
  })
})

test('the operator learns which name was asked for, cut and printable', async () => {
  const { tell, told } = createMessageDecider()
  const found = async (body: unknown) => {
    await tell(rules, body)
    return told.at(-1)?.[1].cause
  }
  expect(await found(call('no_such_tool'))).toMatchObject({ found: 'no_such_tool', unverified: true })
  expect(await found(request('no\n/such'))).toMatchObject({ reason: 'no rule names the method' })
  const long = await found(request(`x\n${'y'.repeat(10_000)}`))
  expect(long?.found).toMatch(/^[^\n]{1,128}$/)
  expect(JSON.stringify(long).length).toBeLessThan(300)
  expect(await found(request('resources/read', { uri: 'x:y' }))).toMatchObject({ found: 'x:y' })
})

test('a request that may come without credentials reaches the tools that say so', async () => {
  const { tell } = createMessageDecider({ routes: { '* /mcp': { anonymous: true } } })
  const own: McpRules = {
    tools: { open: { anonymous: true }, closed: {} },
    methods: { initialize: { anonymous: true } },
  }
  const ask = { anonymous: true }
  expect(briefly(await tell(own, call('open'), ask))).toBe('passes')
  expect(briefly(await tell(own, request('initialize'), ask))).toBe('passes')
  expect(briefly(await tell(own, call('closed'), ask))).toBe('401 credentials_missing')
  expect(briefly(await tell(own, request('tools/list'), ask))).toBe('401 credentials_missing')
  expect(briefly(await tell(own, call('no_such_tool'), ask))).toBe('401 credentials_missing')
})

test('a denial of a prompt that no other token can mend is a JSON-RPC error', async () => {
  const { tell } = createMessageDecider()
  const own: McpRules = { tools: {}, prompts: { summary: { agents: ['another-agent'] } } }
  const denied = await tell(own, request('prompts/get', { name: 'summary' }))
  expect(denied?.status).toBe(200)
  expect(denied?.body).toMatchObject({
    id: 7,
    error: { code: 403, data: { code: 'agent_not_allowed', authorization: { remediation: 'unavailable' } } },
  })
})

describe('observe', () => {
  test('reports denials, unknown names and malformed messages, and lets them pass', async () => {
    const { tell, told } = createMessageDecider({ mode: 'observe' })
    const bodies = [call('delete_order'), call('no_such_tool'), [], undefined, request('no/such')]
    for (const body of bodies) expect(briefly(await tell(rules, body))).toBe('passes')
    expect(told.flatMap(([decision]) => (decision.outcome === 'observe' ? decision.code : []))).toEqual([
      'agent_not_allowed',
      'tool_not_declared',
      'message_malformed',
      'message_malformed',
      'tool_not_declared',
    ])
  })

  test('of the route goes on to the handler, whatever the message is', async () => {
    const { tell, told } = createMessageDecider({ routes: { '* /mcp': { scope: 'never', mode: 'observe' } } })
    for (const body of [call('no_such_tool'), [], call('delete_order')]) {
      expect(briefly(await tell(rules, body))).toBe('passes')
    }
    expect(told.map(([decision]) => decision.outcome)).toEqual(Array(5).fill('observe'))
  })

  test('of one rule does not loosen another', async () => {
    const { tell } = createMessageDecider()
    const own: McpRules = {
      tools: { delete_order: { agents: ['another-agent'], mode: 'observe' }, refund: { scope: 'refund' } },
      methods: { 'tools/call': { scope: 'never', mode: 'observe' } },
    }
    expect(briefly(await tell(own, call('delete_order')))).toBe('passes')
    expect(briefly(await tell(own, call('refund')))).toBe('403 scope_insufficient')
    const enforced = createMessageDecider({ mode: 'observe', routes: { '* /mcp': { mode: 'enforce' } } })
    expect(briefly(await enforced.tell(rules, call('delete_order')))).toMatch(/agent_not_allowed/)
    expect(briefly(await enforced.tell(rules, call('no_such_tool')))).toBe('200 -32602')
    expect(briefly(await enforced.tell(rules, []))).toBe('400 -32600')
  })
})

describe('limits and hooks', () => {
  test('each message counts, also those of one request', async () => {
    const { decide } = createMessageDecider()
    const own: McpRules = { tools: { read: { limit: { per: 'agent', max: 2, window: 60 } } } }
    const decision = await decide()
    const statuses = []
    for (let count = 0; count < 3; count++) {
      const { response } = await decideMessage(own, call('read'), decision, {})
      statuses.push(response?.status)
    }
    expect(statuses).toEqual([undefined, undefined, 429])
  })

  test('two tools with equal limits have a counter each, and a cost may be a sum in the arguments', async () => {
    const { tell } = createMessageDecider()
    const limit = { per: 'agent', max: 100, window: 60 } as const
    const cost = ({ params }: McpMessage) => {
      const args = params?.arguments
      return typeof args === 'object' && args !== null && 'amount' in args ? (args.amount as number) : 1
    }
    const own: McpRules = {
      tools: { refund: { limit: { ...limit, cost } }, pay: { limit: { ...limit, cost } } },
    }
    expect(briefly(await tell(own, call('refund', { amount: 60 })))).toBe('passes')
    expect(briefly(await tell(own, call('pay', { amount: 60 })))).toBe('passes')
    expect(briefly(await tell(own, call('refund', { amount: 60 })))).toBe('429 limit_exceeded')
    expect(briefly(await tell(own, call('refund', { amount: 40 })))).toBe('passes')
    expect(briefly(await tell(own, call('refund', { amount: '4' })))).toMatch(/argument_not_allowed/)
  })

  test('authorize is asked where the rule says so', async () => {
    const asked: unknown[] = []
    const authorize = ({ grant }: { grant: { agent: { id: string } } }) => {
      asked.push(grant.agent.id)
      return false
    }
    const { tell } = createMessageDecider({ routes: { '* /mcp': { authorize: false } } }, { authorize })
    expect(briefly(await tell({ tools: { read: {} } }, call('read')))).toBe('passes')
    expect(briefly(await tell({ tools: { read: { authorize: true } } }, call('read')))).toMatch(
      /not_authorized/,
    )
    expect(asked).toHaveLength(1)
  })

  test('a token is used up by once', async () => {
    const { tell } = createMessageDecider()
    const own: McpRules = { tools: { refund: { once: true } } }
    const ask = { claims: { jti: 'one-refund' } }
    expect(briefly(await tell(own, call('refund'), ask))).toBe('passes')
    expect(briefly(await tell(own, call('refund'), ask))).toBe('401 token_reused')
  })
})

test('a decision of no verifier, a copy of one, and wrong rules are mistakes of the app', async () => {
  const { decide } = createMessageDecider()
  const decision = await decide()
  await expect(decideMessage(rules, call('read_order'), { ...decision }, {})).rejects.toThrow(/not a copy/)
  const wrong = { tools: { a: { scoop: 'x' } } } as unknown as McpRules
  await expect(decideMessage(wrong, call('a'), decision, {})).rejects.toThrow(/tools\.a\.scoop/)
})

test('a changed policy applies to later requests, and rules that the app changes are read again', async () => {
  const { verifier, decide, tell } = createMessageDecider()
  const before = await decide()
  const own = { tools: { read: { agents: ['another-agent'] } as { agents?: string[] } } }
  verifier.update({ ...verifier.policy, routes: { '* /mcp': 'authenticated', 'GET /x': 'public' } })
  expect(briefly(await tell(own, call('read')))).toMatch(/agent_not_allowed/)
  const { response } = await decideMessage(own, call('read'), before, new Headers())
  expect(response?.status).toBe(200)
  own.tools.read = {}
  expect(briefly(await tell(own, call('read')))).toBe('passes')
  expect(createVerifier(verifier.policy).policy).toEqual(verifier.policy)
})
