import { MeterProvider } from '@opentelemetry/sdk-metrics'
import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node'
import { describe, expect, it } from 'vitest'
import {
  createVerifier,
  type Explanation,
  memoryRevocations,
  type Policy,
  type VerifierOptions,
} from '../../../src/index.js'
import { createTestIssuer } from '../../../src/testing/index.js'

const issuer = createTestIssuer({ audience: 'https://orders.example.com' })

function verifierFor(policy: Partial<Policy> = {}, options: VerifierOptions = {}) {
  const routes = { 'GET /orders/:id': { scope: 'orders:read', once: true } } as const
  const base = { issuer: issuer.policyIssuer, audience: 'https://orders.example.com', routes }
  return createVerifier({ ...base, ...policy }, options)
}

const call = (scope = 'orders:read', url = '/orders/42') => ({
  method: 'GET',
  url,
  headers: issuer.headers({ url, scope, agent: 'agent-7' }),
})

const checkOf = (explanation: Explanation, stage: string, name: string) =>
  explanation.stages.find((one) => one.stage === stage)?.checks.find((check) => check.name === name)

const failedOf = ({ stages }: Explanation) =>
  stages.flatMap(({ checks }) => checks).find(({ outcome }) => outcome === 'failed')

describe('explain', () => {
  it('uses up neither proof nor token, however often it is asked', async () => {
    const verifier = verifierFor()
    const request = call()
    for (const _ of Array(3)) {
      const explanation = await verifier.explain(request)
      expect(explanation.decision.outcome).toBe('allow')
      expect(checkOf(explanation, 'proof', 'replay')?.outcome).toBe('not_checked')
      expect(checkOf(explanation, 'rule', 'once')?.outcome).toBe('not_checked')
    }
    expect((await verifier.verify(request)).outcome).toBe('allow')
    expect(await verifier.verify(request)).toMatchObject({ code: 'proof_replayed' })
    expect((await verifier.explain(request)).decision.outcome).toBe('allow')
  })

  it('records no span and no metric', async () => {
    const exporter = new InMemorySpanExporter()
    const tracerProvider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
    let recorded = 0
    const meterProvider = new MeterProvider()
    const { getMeter } = meterProvider
    meterProvider.getMeter = (...args) => {
      recorded += 1
      return getMeter.apply(meterProvider, args)
    }
    const verifier = verifierFor({}, { tracerProvider, meterProvider, traceAllowed: 1 })
    await verifier.explain(call('none'))
    await verifier.explain(call())
    expect([exporter.getFinishedSpans().length, recorded]).toEqual([0, 0])
    await verifier.verify(call('none'))
    expect([exporter.getFinishedSpans().length, recorded]).toEqual([1, 1])
  })

  it('calls no hook authorize', async () => {
    const routes = { 'GET /orders/:id': { authorize: true } } as const
    let asked = 0
    const authorize = () => {
      asked += 1
      return false
    }
    const explanation = await verifierFor({ routes }, { authorize }).explain(call())
    expect(checkOf(explanation, 'rule', 'authorize')?.outcome).toBe('not_checked')
    expect([explanation.decision.outcome, asked]).toEqual(['allow', 0])
  })

  it('gives a decision that is none to go on with', async () => {
    const verifier = verifierFor()
    const { decision } = await verifier.explain(call())
    await expect(verifier.check(decision, { scope: 'orders:read' })).rejects.toThrow(TypeError)
  })

  it('asks the revocation list, and names the ids that it has asked for', async () => {
    const revocations = memoryRevocations()
    const verifier = verifierFor({}, { revocations })
    expect(checkOf(await verifier.explain(call()), 'revocation', 'revocation')).toMatchObject({
      outcome: 'passed',
      found: expect.stringContaining('agent:https://issuer.test agent-7'),
    })
    revocations.revoke('agent:https://issuer.test agent-7', Date.now() / 1000 + 60)
    const explanation = await verifier.explain(call())
    expect(explanation.decision).toMatchObject({ code: 'token_revoked' })
    expect(failedOf(explanation)).toMatchObject({
      name: 'revocation',
      advice: expect.stringContaining('unrevoke'),
    })
    expect(checkOf(await verifierFor().explain(call()), 'revocation', 'revocation')?.outcome).toBe(
      'not_checked',
    )
  })

  it('marks what no signature vouches for', async () => {
    const other = createTestIssuer({ issuer: 'https://evil.test', audience: 'https://orders.example.com' })
    const headers = other.headers({ url: '/orders/42', scope: 'orders:read' })
    const explanation = await verifierFor().explain({ method: 'GET', url: '/orders/42', headers })
    expect(failedOf(explanation)).toMatchObject({
      name: 'issuer',
      expected: 'https://issuer.test',
      found: 'https://evil.test',
      unverified: true,
    })
    expect(checkOf(explanation, 'token', 'alg')).toMatchObject({ found: 'ES256', unverified: true })
    const allowed = await verifierFor().explain(call())
    expect(checkOf(allowed, 'token', 'alg')).not.toHaveProperty('unverified')
    expect(checkOf(allowed, 'rule', 'scope')).toMatchObject({ expected: 'orders:read', found: 'orders:read' })
  })

  it('lists the conditions of a rule by their keys, those that were not reached as well', async () => {
    const rule = {
      scope: 'orders:read',
      intent: { workflow: 'refund', step: 'issue' },
      agents: ['agent-7'],
      delegation: { maxDepth: 1, initiators: ['agent-7'], chains: [['agent-7']] },
      user: { acr: ['gold'], amr: ['hwk'], maxAge: 60 },
      claims: { '/amount': { max: 100 } },
      once: true,
    }
    const workflows = { refund: { steps: ['issue'] } }
    const agents = { 'agent-7': { registrationIds: [issuer.agent('agent-7').registrationId] } }
    const verifier = verifierFor({ workflows, agents, routes: { 'GET /orders/:id': rule } })
    const names = [
      'route',
      'policy.agents',
      'scope',
      'intent.workflow',
      'intent.step',
      'intent.order',
      'agents',
      'delegation.maxDepth',
      'delegation.initiators',
      'delegation.chains',
      'user.acr',
      'user.amr',
      'user.maxAge',
      'claims["/amount"]',
      'once',
    ]
    const ofRule = ({ stages }: Explanation) => stages.at(-1)?.checks.map(({ name }) => name)
    expect(ofRule(await verifier.explain({ method: 'GET', url: '/orders/42', headers: {} }))).toEqual(names)
    const headers = issuer.headers({
      url: '/orders/42',
      agent: 'agent-7',
      scope: 'orders:read',
      intent: { workflow: 'refund', step: 'issue' },
      user: { acr: 'gold', amr: ['hwk'] },
      claims: { amount: 100 },
    })
    const allowed = await verifier.explain({ method: 'GET', url: '/orders/42', headers })
    expect([allowed.decision.outcome, ofRule(allowed)]).toEqual(['allow', names])
  })

  it('never rejects, for any input', async () => {
    const verifier = verifierFor()
    for (const request of [undefined, {}, { method: 1, url: {}, headers: [['x', 'y']] }])
      expect((await verifier.explain(request as never)).decision).toHaveProperty('code')
    verifier.close()
    const explanation = await verifier.explain(call())
    expect(failedOf(explanation)).toMatchObject({ name: 'verifier', reason: 'the verifier is closed' })
  })
})
