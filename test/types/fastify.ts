// Compiled, never run: valid code, and, by @ts-expect-error, invalid code.
import fastify, { type preHandlerHookHandler } from 'fastify'
import { type AjwtDenial, ajwt, checkIntent, requireIntent, verifyRoutes } from '../../middleware/fastify.js'
import { createVerifier, definePolicy, type Grant } from '../../src/index.js'

const policy = definePolicy({
  issuer: 'https://as.example.com',
  audience: 'https://orders.example.com',
  routes: { 'GET /health': 'public', 'GET /orders/:id': { scope: ['orders:read'] } },
})

const app = fastify()
app.register(ajwt, { policy })
app.register(ajwt, { policy, onDecision: (decision) => void decision.outcome })
app.register(ajwt, { verifier: createVerifier(policy) })
await app.register(async (child) => void child.register(ajwt, { policy }), { prefix: '/v1' })

const hook: preHandlerHookHandler = requireIntent({ scope: 'orders:read' })
app.get<{ Params: { id: string } }>(
  '/orders/:id',
  { preHandler: [hook, requireIntent({ agents: ['a'] })] },
  async (request, reply) => {
    const grant: Grant | undefined = request.ajwt
    const denial: AjwtDenial | undefined = await checkIntent(request, { scope: 'orders:read' }, { id: '42' })
    if (denial) throw denial
    // @ts-expect-error: there may be no grant, on a public route
    reply.send(request.ajwt.agent.id)
    // @ts-expect-error: nobody changes a grant
    if (grant) grant.agent.id = 'other'
    return { order: request.params.id, agent: grant?.agent.id }
  },
)

// @ts-expect-error: a policy or a verifier is needed
app.register(ajwt, {})
// @ts-expect-error: not both
app.register(ajwt, { policy, verifier: createVerifier(policy) })
// @ts-expect-error: a verifier has its options already
app.register(ajwt, { verifier: createVerifier(policy), now: () => 0 })
// @ts-expect-error: a policy has an audience
app.register(ajwt, { policy: { issuer: 'https://as.example.com', routes: {} } })
// @ts-expect-error: a rule, not a scope
requireIntent('orders:read')
// @ts-expect-error: a rule has no such key
requireIntent({ scopes: ['a'] })

app.register(ajwt, {
  policy,
  onDenied: (denial, request, reply) => {
    request.log.warn(denial.code)
    return reply.send({ code: denial.code })
  },
})

await verifyRoutes(app, policy)
await verifyRoutes(fastify({ http2: true }), policy)
// @ts-expect-error: no app
await verifyRoutes(policy, app)
