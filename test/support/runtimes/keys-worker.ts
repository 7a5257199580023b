import { env } from 'cloudflare:workers'
import { Hono } from 'hono'
import { ajwt } from '../../../middleware/hono.js'

const { ISSUER = '', ISSUER_URL = '', KEYS = '{}' } = env

/** The issuer by its entry in the policy, or by `resolveIssuer`, which asks over the network. */
const entry = { url: ISSUER_URL, jwksUri: `${ISSUER_URL}/jwks`, keys: JSON.parse(KEYS) }
const routes = { 'GET /orders/:id': { scope: 'orders:read' } }
const audience = 'https://api.test'

// At module scope, as in any Worker: nothing random, no timer and no fetch may happen here.
const app = new Hono()
app.get('/alive', (c) => c.text('yes'))
app.use('/orders/*', ajwt({ issuer: entry, audience, publicUrl: audience, routes }))
app.get('/orders/:id', (c) => c.json({ agent: c.get('ajwt' as never) }))

const resolving = new Hono()
resolving.use(
  ajwt(
    { issuer: 'https://none.test', audience, publicUrl: audience, routes },
    {
      async resolveIssuer(iss) {
        if (iss !== ISSUER) return undefined
        const response = await fetch(`${ISSUER_URL}/entry`)
        return { ...entry, ...((await response.json()) as object) }
      },
    },
  ),
)
resolving.get('/orders/:id', (c) => c.text('resolved'))

export default {
  fetch: (request: Request) =>
    request.headers.has('x-resolve') ? resolving.fetch(request) : app.fetch(request),
}
