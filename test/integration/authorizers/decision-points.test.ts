import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node'
import express from 'express'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ajwt } from '../../../middleware/express.js'
import { type Authorize, authzen, type DecisionFacts, type VerifierOptions } from '../../../src/index.js'
import { createTestIssuer } from '../../../src/testing/index.js'
import { blocksOf } from '../../support/docs/markdown.js'
import { folderOf, isInstalled, needs } from '../../support/installed.js'
import { type Listening, listen } from '../../support/listen.js'

// Real decision points behind the option `authorize`: Cedar and Casbin in this process, as the documentation
// asks them, and Cedar behind an AuthZEN endpoint.

const issuer = createTestIssuer()
const isReady = isInstalled('authorizers')

/** Runs a file of docs/integrations.md beside the packages that it imports. */
async function authorizeOf(name: string, change = (code: string) => code): Promise<Authorize> {
  const block = blocksOf('docs/integrations.md').find(({ directive }) => directive === `file: ${name}`)
  const file = join(folder, name.replace('.js', `-${count++}.js`))
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, change(block?.code ?? ''))
  return (await import(pathToFileURL(file).href)).authorize
}

let folder = ''
let count = 0

/** An app whose requests this hook may deny, and the causes of its denials. */
async function serve(authorize: Authorize, options: VerifierOptions = {}) {
  const causes: DecisionFacts['cause'][] = []
  const policy = {
    issuer: issuer.policyIssuer,
    audience: issuer.audience,
    routes: { 'GET /orders/:id': { scope: 'orders' }, 'DELETE /orders/:id': { scope: 'orders' } },
  } as const
  const onDecision = (_: unknown, { cause }: DecisionFacts) => void causes.push(cause)
  const app = express().use(ajwt(policy, { authorize, authorizeTimeout: 5, onDecision, ...options }))
  app.all('/orders/:id', (req, res) => void res.json({ agent: req.ajwt?.agent.id }))
  const server = await listen(app)
  open.push(server)
  return {
    causes,
    async ask(agent: string, method = 'GET', claims: Record<string, unknown> = {}) {
      const url = '/orders/42'
      const headers = { ...issuer.headers({ method, url, agent, scope: 'orders', claims }) }
      const response = await fetch(server.origin + url, { method, headers })
      const { code, agent: seen } = (await response.json()) as { code?: string; agent?: string }
      return [response.status, code ?? seen]
    },
  }
}

const open: (Listening | Server)[] = []

describe.skipIf(!isReady)(`decision points${needs('authorizers')}`, () => {
  beforeAll(() => {
    folder = mkdtempSync(join(folderOf('authorizers'), '.docs-'))
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  })
  afterAll(() => {
    for (const server of open) server.close()
    rmSync(folder, { recursive: true, force: true })
  })

  describe('Cedar', () => {
    test('permits, and forbids what it does not permit', async () => {
      const { ask, causes } = await serve(await authorizeOf('cedar/authorize.js'))
      expect(await ask('agent-7')).toEqual([200, 'agent-7'])
      expect(await ask('agent-8')).toEqual([403, 'not_authorized'])
      expect(await ask('agent-7', 'DELETE')).toEqual([403, 'not_authorized'])
      expect(causes.at(-1)?.reason).toBe('Cedar: no policy permits it')
    })

    test('forbids by a claim of the token, whatever it permits', async () => {
      const { ask, causes } = await serve(await authorizeOf('cedar/authorize.js'))
      const intent = { executed_by: 'agent-7', initiated_by: 'mallory' }
      expect(await ask('agent-7', 'GET', { intent })).toEqual([403, 'not_authorized'])
      expect(causes.at(-1)?.reason).toBe('Cedar: policy1')
    })

    test('whose policy fails, or does not parse, lets nothing pass', async () => {
      const failing = await authorizeOf('cedar/authorize.js', (code) =>
        code.replace('context.initiator', 'context.missing'),
      )
      const broken = await authorizeOf('cedar/authorize.js', (code) => code.replace('permit (', 'permitt ('))
      for (const authorize of [failing, broken]) {
        const { ask, causes } = await serve(authorize)
        expect(await ask('agent-7')).toEqual([503, 'authorizer_unavailable'])
        expect(causes.at(-1)?.reason).toMatch(/^the hook authorize failed: .+/)
      }
    })

    test('is a child span of the decision', async () => {
      const exporter = new InMemorySpanExporter()
      const tracerProvider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
      const { ask } = await serve(await authorizeOf('cedar/authorize.js'), { tracerProvider })
      await ask('agent-8')
      const spans = exporter.getFinishedSpans()
      const parent = spans.find(({ name }) => name === 'ajwt.verify')
      const child = spans.find(({ name }) => name === 'ajwt.authorize')
      expect(child?.attributes).toEqual({ 'ajwt.outcome': 'deny', 'ajwt.code': 'not_authorized' })
      expect(child?.parentSpanContext?.spanId).toBe(parent?.spanContext().spanId)
    })

    test('behind an AuthZEN endpoint is asked over HTTP, and denies where it is gone', async () => {
      const pdp = await startDecisionPoint()
      const { ask, causes } = await serve(authzen({ url: pdp.url, token: 'secret' }))
      expect(await ask('agent-7')).toEqual([200, 'agent-7'])
      expect(await ask('agent-8')).toEqual([403, 'not_authorized'])
      expect(causes.at(-1)?.reason).toBe('no policy permits it')
      const wrongToken = await serve(authzen({ url: pdp.url, token: 'other' }))
      expect(await wrongToken.ask('agent-7')).toEqual([503, 'authorizer_unavailable'])
      expect(wrongToken.causes.at(-1)?.reason).toMatch(/the decision point answered 401/)
      await pdp.close()
      expect(await ask('agent-7')).toEqual([503, 'authorizer_unavailable'])
    })
  })

  test('Casbin permits what is in its policy, and nothing else', async () => {
    const { ask } = await serve(await authorizeOf('casbin/authorize.js'))
    expect(await ask('agent-7')).toEqual([200, 'agent-7'])
    expect(await ask('agent-7', 'DELETE')).toEqual([403, 'not_authorized'])
    expect(await ask('agent-8')).toEqual([403, 'not_authorized'])
    const broken = await authorizeOf('casbin/authorize.js', (code) => code.replace('r.agent ==', 'r.agnt =='))
    const many = await serve(broken)
    expect((await many.ask('agent-7'))[0]).not.toBe(200)
  })

  test('many requests at once each get the decision on their own agent', async () => {
    for (const name of ['cedar/authorize.js', 'casbin/authorize.js']) {
      const { ask } = await serve(await authorizeOf(name))
      const agents = Array.from({ length: 20 }, (_, index) => `agent-${(index % 2) + 7}`)
      const answers = await Promise.all(agents.map((agent) => ask(agent)))
      expect(answers.map(([status]) => status)).toEqual(
        agents.map((agent) => (agent === 'agent-7' ? 200 : 403)),
      )
    }
  })
})

interface EvaluationRequest {
  readonly subject: { readonly type: string; readonly id: string }
  readonly action: { readonly name: string }
  readonly resource: { readonly type: string; readonly id: string }
}

/** OpenID AuthZEN 1.0 section 6, with Cedar behind it. */
async function startDecisionPoint() {
  const require = createRequire(join(folderOf('authorizers'), 'package.json'))
  const cedar = require('@cedar-policy/cedar-wasm/nodejs') as {
    isAuthorized(call: object): { response: { decision: 'allow' | 'deny' } }
  }
  const decide = ({ subject, action, resource }: EvaluationRequest) =>
    cedar.isAuthorized({
      principal: { type: subject.type, id: subject.id },
      action: { type: 'Action', id: action.name },
      resource: { type: resource.type, id: resource.id },
      context: {},
      policies: {
        staticPolicies:
          'permit (principal == agent::"agent-7", action == Action::"GET", resource == route::"/orders/:id");',
      },
      entities: [],
    }).response.decision === 'allow'
  const server = createServer(async (request, response) => {
    if (request.headers.authorization !== 'Bearer secret') return void response.writeHead(401).end()
    if (request.method !== 'POST' || request.url !== '/access/v1/evaluation') {
      return void response.writeHead(404).end()
    }
    let text = ''
    for await (const chunk of request) text += String(chunk)
    const decision = decide(JSON.parse(text))
    const context = decision ? {} : { reason: 'no policy permits it' }
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ decision, context }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
