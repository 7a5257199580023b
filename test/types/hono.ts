// Compiled, never run: valid code, and, by @ts-expect-error, invalid code.
import { Hono, type MiddlewareHandler } from 'hono'
import {
  type AjwtDenial,
  type AjwtEnv,
  ajwt,
  checkIntent,
  requireIntent,
  verifyRoutes,
} from '../../middleware/hono.js'
import type { Grant, Policy } from '../../src/index.js'

declare const policy: Policy

// The middleware itself brings the type of its variable, with no cast.
new Hono().use(ajwt(policy)).get('/orders/:id', requireIntent({ scope: 'orders:read' }), (c) => {
  const grant: Grant | undefined = c.get('ajwt')
  // @ts-expect-error: there may be no grant, on a public route
  c.text(c.get('ajwt').agent.id)
  // @ts-expect-error: nobody sets another thing in its place
  c.set('ajwt', 'agent-7')
  return c.json({ agent: grant?.agent.id, viaVar: c.var.ajwt?.agent.id })
})

// Or the app says so.
const app = new Hono<AjwtEnv>()
app.use('/v1/*', ajwt(policy))
app.get('/v1/me', (c) => c.json({ agent: c.get('ajwt')?.agent.id ?? null }))

// An app with variables of its own.
const own = new Hono<{ Variables: AjwtEnv['Variables'] & { user: string } }>()
own.use(ajwt(policy))
own.get('/', (c) => c.text(c.get('user')))

const handler: MiddlewareHandler<AjwtEnv> = ajwt(policy)

export { handler }

// @ts-expect-error: a policy has routes
ajwt({ issuer: 'https://as.example.com', audience: 'https://orders.example.com' })

own.get('/checked/:id', async (c) => {
  const denial: AjwtDenial | undefined = await checkIntent(c, { scope: 'orders:read' })
  return denial?.getResponse() ?? c.text('allowed')
})

await verifyRoutes(new Hono<AjwtEnv>().basePath('/v1'), policy)
await verifyRoutes(new Hono(), policy)
