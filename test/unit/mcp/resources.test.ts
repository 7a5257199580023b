import { describe, expect, test } from 'vitest'
import type { McpRules } from '../../../src/mcp/index.js'
import { briefly, createMessageDecider, request } from '../../support/mcp/message-decisions.js'

const rules: McpRules = {
  tools: {},
  prompts: {
    open: {},
    secret: { scope: 'secret' },
    own: { arguments: { '/customer': { claim: '/customer' } } },
  },
  resources: {
    'file:///docs/*': { scope: 'docs' },
    'file:///docs/public/*': {},
    'file:///docs/public/secret': { scope: 'secret' },
    'orders://*': { scope: 'orders' },
    'orders://secret/*': { scope: 'secret' },
    'https://example.com/*': {},
    'urn:note:1': {},
  },
}

const told = async (method: string, params: object, scope = 'none', own = rules) => {
  const claims = { scope, customer: 'c1' }
  return briefly(await createMessageDecider().tell(own, request(method, params), { claims }))
}
const read = (uri: unknown, scope?: string, own?: McpRules) => told('resources/read', { uri }, scope, own)

describe('a resource', () => {
  test('has the rule with the longest key', async () => {
    expect(await read('file:///docs/a')).toBe('403 scope_insufficient')
    expect(await read('file:///docs/a', 'docs')).toBe('passes')
    expect(await read('file:///docs/public/a')).toBe('passes')
    expect(await read('file:///docs/public/secret')).toBe('403 scope_insufficient')
    expect(await read('file:///docs/public/secret?raw')).toBe('403 scope_insufficient')
    expect(await read('file:///docs/public/secrets')).toBe('passes')
    expect(await read('urn:note:1')).toBe('passes')
    const same: McpRules = { tools: {}, resources: { 'a:b*': { scope: 'x' }, 'a:b': {} } }
    expect(await read('a:b', '', same)).toBe('passes')
    expect(await read('a:bc', '', same)).toBe('403 scope_insufficient')
  })

  test('that no key matches is unknown', async () => {
    const unknown = ['file:///etc/passwd', 'file:///docs', 'urn:note:2', 'urn:note:11', 'orders:', 'x']
    for (const uri of [...unknown, '', 17, null, ['urn:note:1'], undefined]) {
      expect([uri, await read(uri, 'docs orders secret')]).toEqual([uri, '200 -32602'])
    }
  })

  test('has one spelling', async () => {
    const wrong = [
      'file:///docs/public/../a',
      'file:///docs/public/./a',
      'file:///docs/public/..',
      'file:///docs/public/%2e%2e/a',
      'file:///docs/public/%2E%2E/a',
      'file:///docs/public/..%2Fa',
      'file:///docs/public/%252e%252e/a',
      'file:///docs/public/%5Ca',
      'file:///docs/public/%C0%AE%C0%AE/a',
      'file:///docs/public/%FF',
      'file:///docs/public\\a',
      'file:///docs/public/a%2fb',
      'file:///docs/public/..;/a',
      'file:///docs/public/?/../../a',
      'file:///docs/public//a',
      'file:////docs/public/a',
      'file:///docs/public/%61',
      'file:///docs/public/%c3%a9',
      'file:///docs/public/%00',
      'file:///docs/public/%0A',
      'file:///docs/public/\u0000',
      'file:///docs/public/é',
      'file:///docs/public/a b',
      'file:///docs/public/a#b',
      'file:///docs/public/a\n',
      ' file:///docs/public/a',
      'FILE:///docs/public/a',
      'https://EXAMPLE.com/a',
      'https://example.com:443/a',
      'https://example.com',
      'https://user@example.com/a',
      'https://example.com\\@evil.example/',
      'https:/example.com/a',
      'https://example.com/%zz',
      'orders://../secret/1',
    ]
    for (const uri of wrong) expect([uri, await read(uri, 'docs orders')]).toEqual([uri, '200 -32602'])
    const fine = ['file:///docs/public/%C3%A9', 'file:///docs/public/a%20b.md', 'https://example.com/a?b=c&d']
    for (const uri of fine) expect([uri, await read(uri)]).toEqual([uri, 'passes'])
  })

  test('is subscribed to with the same rights', async () => {
    for (const method of ['resources/subscribe', 'resources/unsubscribe']) {
      expect(await told(method, { uri: 'file:///docs/a' })).toBe('403 scope_insufficient')
      expect(await told(method, { uri: 'file:///docs/public/a' })).toBe('passes')
      expect(await told(method, { uri: 'file:///etc/passwd' })).toBe('200 -32602')
    }
  })

  test('is subscribed to by subscriptions/listen with the same rights, where methods names it', async () => {
    const listen = (uris: unknown, own: McpRules, scope = 'none') =>
      told('subscriptions/listen', { notifications: { resourceSubscriptions: uris } }, scope, own)
    expect(await listen([], rules)).toBe('200 -32601')
    const own: McpRules = { ...rules, methods: { 'subscriptions/listen': 'authenticated' } }
    expect(await listen(undefined, own)).toBe('passes')
    expect(await listen(['urn:note:1'], own)).toBe('passes')
    expect(await listen(['urn:note:1', 'file:///docs/a'], own)).toBe('403 scope_insufficient')
    expect(await listen(['urn:note:1', 'file:///etc/passwd'], own)).toBe('200 -32602')
    expect(await listen([17], own)).toBe('200 -32602')
    expect(await listen('file:///docs/a', own)).toBe('400 -32602')
  })
})

test('without prompts and resources, only a rule of the method allows them', async () => {
  const none: McpRules = { tools: {} }
  for (const [method, params] of [
    ['prompts/get', { name: 'open' }],
    ['resources/read', { uri: 'urn:note:1' }],
    ['resources/subscribe', { uri: 'urn:note:1' }],
  ] as const) {
    expect(await told(method, params, '', none)).toBe('200 -32601')
    expect(await told(method, params, '', { ...none, methods: { [method]: 'authenticated' } })).toBe('passes')
  }
})

describe('completion/complete', () => {
  const complete = (ref: unknown, rest: object = {}, own?: McpRules, scope = 'none') =>
    told('completion/complete', { ref, argument: { name: 'x', value: '' }, ...rest }, scope, own)

  test('needs the rights of the prompt that it refers to', async () => {
    expect(await complete({ type: 'ref/prompt', name: 'open' })).toBe('passes')
    expect(await complete({ type: 'ref/prompt', name: 'secret' })).toBe('403 scope_insufficient')
    expect(await complete({ type: 'ref/prompt', name: 'Secret' })).toBe('200 -32602')
    expect(await complete({ type: 'ref/prompt', name: 'constructor' })).toBe('200 -32602')
    const own = { ...rules, methods: { 'prompts/get': { scope: 'prompts' } } }
    expect(await complete({ type: 'ref/prompt', name: 'open' }, {}, own)).toBe('403 scope_insufficient')
    expect(await complete({ type: 'ref/prompt', name: 'open' }, {}, own, 'prompts')).toBe('passes')
  })

  test('is checked with the arguments that are written so far', async () => {
    const ref = { type: 'ref/prompt', name: 'own' }
    const argument = { name: 'invoice', value: '' }
    const context = (customer: unknown) => ({ argument, context: { arguments: { customer } } })
    expect(await complete(ref, context('c1'))).toBe('passes')
    expect(await complete(ref, context('c2'))).toMatch(/^200 403/)
    expect(await complete(ref, { argument })).toMatch(/^200 403/)
    expect(await complete(ref, { argument: { name: 'customer', value: 'c' } })).toMatch(/^200 403/)
    expect(await complete(ref, { argument: { name: 'customer', value: 'c1' } })).toBe('passes')
    const twice = { argument: { name: 'customer', value: 'c1' }, context: { arguments: { customer: 'c2' } } }
    expect(await complete(ref, twice)).toBe('400 -32602')
    for (const wrong of [undefined, null, 'x', { name: 'x' }, { name: 1, value: '' }]) {
      expect(await complete(ref, { argument: wrong })).toBe('400 -32602')
    }
  })

  test('needs the rights of the resource that it refers to', async () => {
    expect(await complete({ type: 'ref/resource', uri: 'file:///docs/public/a' })).toBe('passes')
    expect(await complete({ type: 'ref/resource', uri: 'file:///docs/a' })).toBe('403 scope_insufficient')
    expect(await complete({ type: 'ref/resource', uri: 'file:///etc/passwd' })).toBe('200 -32602')
  })

  test('of a template needs the rights of every resource that it may stand for', async () => {
    const template = (uri: string, scope?: string) =>
      complete({ type: 'ref/resource', uri }, {}, undefined, scope)
    expect(await template('orders://{id}', 'none')).toBe('403 scope_insufficient')
    expect(await template('orders://{id}', 'orders')).toBe('403 scope_insufficient')
    expect(await template('orders://{id}', 'orders secret')).toBe('passes')
    expect(await template('orders://open/{id}', 'orders')).toBe('passes')
    expect(await template('urn:note:{id}')).toBe('200 -32602')
    expect(await template('{+uri}', 'orders secret docs')).toBe('200 -32602')
    expect(await template('file:///docs/public/../{x}', 'docs secret')).toBe('200 -32602')
  })

  test('of anything else is refused, also where methods names it', async () => {
    const own: McpRules = { tools: {}, methods: { 'completion/complete': 'authenticated' } }
    const asTool = { type: 'ref/tool', name: 'open', uri: 'file:///docs/public/a' }
    expect(await complete(asTool)).toBe('200 -32602')
    const refs = [undefined, null, 'open', {}, { type: 'ref/tool', name: 'open' }, { name: 'open' }]
    for (const ref of [
      ...refs,
      { type: 'ref/prompt', name: 'open' },
      { type: 'ref/resource', uri: 'urn:a' },
    ]) {
      expect([ref, await complete(ref, {}, own)]).toEqual([ref, '200 -32602'])
    }
  })
})

test.each([
  ['file:///docs/../*', /canonical/],
  ['https://example.com', /canonical/],
  ['https://example.com*', /within a host/],
  ['docs', /canonical/],
  ['orders://*/x', /only at its end/],
  ['orders://{id}', /canonical/],
  ['FILE:///docs/*', /canonical/],
])('refuses the key %s, which could match nothing or too much', async (key, message) => {
  await expect(read('urn:a', '', { tools: {}, resources: { [key]: {} } })).rejects.toThrow(message)
})
