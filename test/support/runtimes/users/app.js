import { ajwt } from 'ajwt/hono'
import { Hono } from 'hono'
import policies from './policies.json' with { type: 'json' }

// At module scope, as in any Worker: nothing random, no timer and no fetch may happen here.
function createApp(policy) {
  const app = new Hono()
  app.use(ajwt(policy))
  for (const path of ['/orders/:id', '/once', '/health', '/x']) app.get(path, (c) => c.text('handled'))
  app.post('/orders', (c) => c.text('handled'))
  return app
}

const apps = { plain: createApp(policies.plain), nonce: createApp(policies.nonce) }

export const app = new Hono()
app.all('*', (c) => apps[c.req.header('x-app') ?? 'plain'].fetch(c.req.raw))
