// Compiled, never run: valid code, and, by @ts-expect-error, invalid code.
import express, { type RequestHandler } from 'express'
import {
  type AjwtDenial,
  ajwt,
  checkIntent,
  type RouteReport,
  requireIntent,
  verifyRoutes,
} from '../../middleware/express.js'
import { createVerifier, definePolicy, type Grant } from '../../src/index.js'

const policy = definePolicy({
  issuer: 'https://as.example.com',
  audience: 'https://orders.example.com',
  routes: { 'GET /health': 'public', 'GET /orders/:id': { scope: ['orders:read'] } },
})

const handler: RequestHandler = ajwt(policy)
const app = express()
app.use(handler)
app.use('/v1', ajwt(createVerifier(policy)))
app.get('/orders/:id', requireIntent({ scope: 'orders:read' }), (req, res) => {
  const grant: Grant | undefined = req.ajwt
  const agent: string | undefined = grant?.agent.id
  res.json({ agent, scopes: grant?.scopes.includes('orders:read') })
  // @ts-expect-error: there may be no grant, on a public route
  res.json(req.ajwt.agent.id)
  // @ts-expect-error: nobody changes a grant
  if (grant) grant.agent.id = 'other'
  // @ts-expect-error: nor adds a scope to it
  grant?.scopes.push('admin')
})

// @ts-expect-error: a policy has an audience
ajwt({ issuer: 'https://as.example.com', routes: {} })
// @ts-expect-error: no symmetric algorithm
ajwt({ ...policy, token: { algorithms: ['HS256'] } })
// @ts-expect-error: a rule has no such key
ajwt({ ...policy, routes: { 'GET /': { scopes: 'a' } } })
// @ts-expect-error: a rule is no string of its own making
ajwt({ ...policy, routes: { 'GET /': 'open' } })
// @ts-expect-error: a rule, not a scope
requireIntent('orders:read')
// @ts-expect-error: seconds are a number
ajwt({ ...policy, proof: { maxAge: '60' } })

const denial: Promise<AjwtDenial | undefined> = checkIntent({} as express.Request, { scope: 'orders:read' })
ajwt(policy, {
  onDenied: (denial, _req, _res, next) => next(new Error(denial.code, { cause: denial satisfies Error })),
})

const report: Promise<RouteReport> = verifyRoutes(app, policy)
verifyRoutes(express.Router(), createVerifier(policy)).then(({ uncovered, unanswered, beforeMiddleware }) => {
  const found: string[] = [...uncovered, ...unanswered, ...beforeMiddleware].map(
    ({ method, path }) => `${method} ${path}`,
  )
  return [found, unanswered.map(({ key }) => key)]
})
// @ts-expect-error: the policy is missing
verifyRoutes(app)

export { denial, report }
