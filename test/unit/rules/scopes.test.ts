import { describe, expect, test } from 'vitest'
import { defaultPolicy } from '../../../fixtures/conformance/policy.js'
import { delegatedCall, twoHops } from '../../../fixtures/delegation-kit.js'
import { createKit } from '../../../fixtures/kit.js'
import { createVerifier, type Policy, PolicyError, type RouteRule } from '../../../src/index.js'

function setUp(policy: Partial<Policy>) {
  const kit = createKit()
  const verifier = createVerifier({ ...defaultPolicy(), ...policy }, { now: () => kit.now })
  const decide = (path: string, claims: Record<string, unknown>) => {
    const { method, url, headers } = kit.call({ path, token: { claims } })
    return verifier.verify({
      method,
      url,
      headers: new Headers(headers.map(([name, value]) => [name, value])),
    })
  }
  return { kit, verifier, decide }
}

/** The outcome, or the code of the denial. */
async function told(scope: string, rule: RouteRule, scopes: Policy['scopes'] = {}): Promise<string> {
  const decision = await setUp({ routes: { 'GET /a': rule }, scopes }).decide('/a', { scope })
  return 'code' in decision ? decision.code : decision.outcome
}

describe('scopes that include others', () => {
  const scopes = { admin: 'orders', orders: ['orders:read', 'orders:refund'] }

  test('meet rules that need these, directly or not', async () => {
    for (const scope of ['orders:read', 'orders', 'admin', 'x admin']) {
      expect([scope, await told(scope, { scope: 'orders:read' }, scopes)]).toEqual([scope, 'allow'])
    }
    for (const scope of ['orders:refund', 'Orders', 'order', 'orders:', '', 'orders:read:x']) {
      const said = await told(scope || 'none', { scope: 'orders:read' }, scopes)
      expect([scope, said]).toEqual([scope, 'scope_insufficient'])
    }
    expect(await told('orders', { scope: ['orders:read', 'orders:refund'] }, scopes)).toBe('allow')
    expect(await told('orders', { scope: ['orders:read', 'other'] }, scopes)).toBe('scope_insufficient')
    expect(await told('orders', { scope: { any: ['x', 'orders:read'] } }, scopes)).toBe('allow')
    expect(await told('orders:read', { scope: 'orders' }, scopes)).toBe('scope_insufficient')
    expect(await told('orders', { scope: 'orders:read' })).toBe('scope_insufficient')
  })

  test('are found among own names only', async () => {
    const odd = { constructor: ['orders:read'], toString: 'orders:read' }
    expect(await told('valueOf', { scope: 'orders:read' }, odd)).toBe('scope_insufficient')
    expect(await told('constructor', { scope: 'orders:read' }, odd)).toBe('allow')
    expect(await told('toString', { scope: 'constructor' }, {})).toBe('scope_insufficient')
  })

  test('apply to rules of handlers, and leave grant and challenge as they are', async () => {
    const { verifier, decide } = setUp({ routes: { 'GET /a': 'authenticated' }, scopes })
    const decision = await decide('/a', { scope: 'orders' })
    expect(decision).toMatchObject({ grant: { scopes: ['orders'] } })
    expect(await verifier.check(decision, { scope: 'orders:refund' })).toBeUndefined()
    const denial = await verifier.check(decision, { scope: 'admin' })
    expect(denial?.headers['www-authenticate']).toContain('scope="admin"')
  })

  test('never widen a delegation: its scopes are compared by name', async () => {
    const { kit, verifier } = setUp({ routes: { 'GET /orders/:id': { scope: 'orders:read' } }, scopes })
    const verify = async (first: string, second: string) => {
      const hops = { 0: { claims: { scope: first } }, 1: { claims: { scope: second } } }
      const call = await delegatedCall(kit, { agents: twoHops, hops, claims: { scope: second } })
      const headers = new Headers(call.headers.map(([name, value]) => [name, value]))
      const decision = await verifier.verify({ method: call.method, url: call.url, headers })
      return 'code' in decision ? decision.code : decision.outcome
    }
    expect(await verify('orders', 'orders')).toBe('allow')
    expect(await verify('orders orders:read', 'orders:read')).toBe('allow')
    expect(await verify('orders', 'orders:read')).toBe('delegation_scope_widened')
  })

  test('are denied by explain as by verify', async () => {
    const { kit, verifier } = setUp({ routes: { 'GET /a': { scope: 'orders:read' } }, scopes })
    const { method, url, headers } = kit.call({ path: '/a', token: { claims: { scope: 'admin' } } })
    const request = { method, url, headers: new Headers(headers.map(([name, value]) => [name, value])) }
    expect((await verifier.explain(request)).decision.outcome).toBe('allow')
  })

  test.each([
    ['itself', { a: ['a'] }, /scopes\.a: includes itself/],
    ['a circle', { a: 'b', b: ['c'], c: ['a', 'd'] }, /scopes\.b: includes itself/],
    ['no scope', { a: [] }, /at least one scope/],
    ['two scopes in one text', { a: 'b c' }, /contains a space/],
    ['a name that is no scope', { 'a b': 'c' }, /contains a space/],
    ['undefined', { a: undefined }, /scopes\.a/],
  ])('with %s are a PolicyError', (_, wrong, message) => {
    const make = () => setUp({ scopes: wrong as unknown as NonNullable<Policy['scopes']> })
    expect(make).toThrow(PolicyError)
    expect(make).toThrow(message)
  })

  test('may reach one scope on two ways', async () => {
    const diamond = { a: ['b', 'c'], b: 'd', c: 'd' }
    expect(await told('a', { scope: 'd' }, diamond)).toBe('allow')
  })
})

describe('metadata', () => {
  const routes = {
    'GET /a': { scope: 'a:read', intent: { workflow: 'repair', step: ['issue', 'say "hi"'] } },
    'GET /b': { scope: 'b:read', intent: { workflow: 'other' } },
  } as const
  const workflows = { repair: { steps: ['look', 'issue', 'say "hi"'] }, other: { steps: ['one'] } }

  test('lists every scope that a route needs, or those that the policy says', () => {
    const listed = (metadata?: Policy['metadata']) =>
      setUp({ routes, workflows, ...(metadata && { metadata }) }).verifier.metadata().scopes_supported
    expect(listed()).toEqual(['a:read', 'b:read'])
    expect(listed({ scopes: ['mcp', 'mcp'] })).toEqual(['mcp'])
    expect(listed({ scopes: [] })).toBeUndefined()
  })

  test('tells workflows and steps only where the policy says so', async () => {
    const silent = setUp({ routes, workflows })
    expect(JSON.stringify(silent.verifier.metadata())).not.toMatch(/repair|"issue|say/)
    const scope = 'a:read b:read'
    const denied = await silent.decide('/a', { scope })
    expect(JSON.stringify(denied)).not.toMatch(/repair|"issue|say/)

    const open = setUp({ routes, workflows, metadata: { intents: true } })
    expect(open.verifier.metadata()).toMatchObject({
      intents_supported: [
        { workflow: 'repair', steps: ['look', 'issue', 'say "hi"'] },
        { workflow: 'other', steps: ['one'] },
      ],
    })
    const challenge = await open.decide('/a', { scope })
    expect(challenge).toMatchObject({ code: 'workflow_not_allowed' })
    expect('code' in challenge && challenge.headers['www-authenticate']).toMatch(
      /workflow="repair"(?!.*step=)/,
    )
    const plain = setUp({
      routes: { 'GET /a': { intent: { workflow: 'repair', step: 'issue' } } },
      metadata: { intents: true },
    })
    const named = await plain.decide('/a', { scope })
    expect('code' in named && named.headers['www-authenticate']).toContain('workflow="repair", step="issue"')
    expect(plain.verifier.metadata()).toMatchObject({
      intents_supported: [{ workflow: 'repair', steps: ['issue'] }],
    })
  })
})
