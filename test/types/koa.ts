// Compiled, never run: valid code, and, by @ts-expect-error, invalid code.
import KoaRouter from '@koa/router'
import Koa from 'koa'
import {
  type AjwtDenial,
  type AjwtState,
  ajwt,
  checkIntent,
  requireIntent,
  verifyRoutes,
} from '../../middleware/koa.js'
import type { Grant, Policy } from '../../src/index.js'

declare const policy: Policy

const app = new Koa<AjwtState>()
app.use(ajwt(policy))
app.use(requireIntent({ agents: ['agent-7'] }))
app.use((ctx) => {
  const grant: Grant | undefined = ctx.state.ajwt
  ctx.body = { agent: grant?.agent.id, step: grant?.intent.step }
  // @ts-expect-error: there may be no grant, on a public route
  ctx.body = ctx.state.ajwt.agent.id
  // @ts-expect-error: a grant has no such member
  ctx.body = ctx.state.ajwt?.user
})

// An app that keeps more in its state takes it as well.
const other = new Koa<AjwtState & { user: string }>()
other.use(ajwt(policy))

// @ts-expect-error: a policy is no URL
ajwt('https://as.example.com')
// @ts-expect-error: a rule has no such key
requireIntent({ scopes: ['a'] })

app.use(async (ctx) => {
  const denial: AjwtDenial | undefined = await checkIntent(ctx, { scope: 'orders:read' }, { id: '42' })
  if (denial) throw denial
})

await verifyRoutes(app, policy)
await verifyRoutes(other, policy)
await verifyRoutes(new KoaRouter(), policy)
