// Compiled, never run: valid code, and, by @ts-expect-error, invalid code.
import { Hono } from 'hono'
import { requireToolIntent } from '../../middleware/hono.js'
import { createVerifier } from '../../src/index.js'
import { allowedTools, decideMessage, type McpRules, mcpAuthInfo, sessionOwner } from '../../src/mcp/index.js'

const rules: McpRules = {
  tools: {
    refund: {
      scope: 'orders:refund',
      intent: { workflow: 'refund', step: 'issue' },
      arguments: { '/order/id': { claim: '/order_id' }, '/amount': { min: 0, maxClaim: '/max' } },
      limit: { per: 'intent', max: 100, cost: ({ params }) => Number(params?.amount) },
    },
  },
  prompts: { summary: { arguments: { '/order': { exists: true } } } },
  resources: { 'orders://*': { scope: 'orders:read' } },
  methods: { 'logging/setLevel': 'authenticated', 'tasks/get': { scope: 'tasks' } },
}

const verifier = createVerifier({
  issuer: 'https://as.example.com',
  audience: 'https://a.example.com',
  routes: {},
})

/** A host of its own, with Fetch or Node's headers. */
export async function handle(request: Request, body: unknown): Promise<Response | string[]> {
  const decision = await verifier.verify(request)
  const { response } = await decideMessage(rules, body, decision, request.headers)
  await decideMessage(rules, body, decision, { 'mcp-name': 'refund' }, { denials: 'http' })
  if (response !== undefined || decision.outcome !== 'allow') return response ?? new Response()
  const auth: {
    token: string
    clientId: string
    scopes: string[]
    expiresAt?: number
    extra?: Record<string, unknown>
  } = mcpAuthInfo(decision.grant)
  return [...allowedTools(rules, decision.grant), sessionOwner(decision.grant), auth.token]
}

new Hono().post('/mcp', requireToolIntent(rules, { denials: 'http', onDenied: (_denial, c) => c.text('') }))

// @ts-expect-error: a rule has tools
requireToolIntent({})
// @ts-expect-error: a key of a tool's rule with a typo
requireToolIntent({ tools: { refund: { argument: {} } } })
// @ts-expect-error: a constraint with a typo
requireToolIntent({ tools: { refund: { arguments: { '/a': { equal: 1 } } } } })
// @ts-expect-error: a resource has no arguments
requireToolIntent({ tools: {}, resources: { 'a:b': { arguments: {} } } })
// @ts-expect-error: a method is not public
requireToolIntent({ tools: {}, methods: { ping: 'public' } })
// @ts-expect-error: no such form of denials
requireToolIntent(rules, { denials: 'json' })
