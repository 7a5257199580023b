import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, test } from 'node:test'
import express from 'express'
import { ajwt } from '../../../middleware/express.js'
import { createTestIssuer } from '../../../src/testing/index.js'

const issuer = createTestIssuer({ audience: 'https://orders.example.com' })
const app = express()
// With UNPROTECTED=true these tests must fail.
if (process.env.UNPROTECTED !== 'true') {
  const routes = { 'GET /orders/:id': { scope: 'orders:read' } }
  app.use(ajwt({ issuer: issuer.policyIssuer, audience: issuer.audience, routes }))
}
app.get('/orders/:id', (req, res) => void res.json({ readBy: req.ajwt?.agent.id }))

const server = createServer(app)
await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
after(() => {
  server.close()
  server.closeAllConnections()
})

test('an agent reads an order', async () => {
  const headers = issuer.headers({ url: '/orders/17', agent: 'planner', scope: 'orders:read' })
  const response = await fetch(`${origin}/orders/17`, { headers })
  assert.deepEqual(await response.json(), { readBy: 'planner' })
})

test('every attack is denied', async () => {
  const rows = await issuer.attacks(origin, { url: '/orders/17', scope: 'orders:read' })
  assert.deepEqual(
    rows.filter(({ ok }) => !ok),
    [],
  )
})
