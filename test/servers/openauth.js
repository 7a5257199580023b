import { createServer } from 'node:http'
import { Readable } from 'node:stream'
import { issuer } from '@openauthjs/openauth'
import { MemoryStorage } from '@openauthjs/openauth/storage/memory'

// One provider, which knows one client by its secret.

const port = Number(process.env.PORT)
const anything = { '~standard': { version: 1, vendor: 'none', validate: (value) => ({ value }) } }
const app = issuer({
  subjects: { machine: anything },
  storage: MemoryStorage(),
  ttl: { access: 300 },
  providers: {
    machine: {
      type: 'machine',
      init() {},
      async client({ clientID, clientSecret }) {
        if (clientSecret !== process.env.CLIENT_SECRET) throw new Error('wrong secret')
        return { clientID }
      },
    },
  },
  success: (ctx, { clientID }) => ctx.subject('machine', { clientID }),
})

const server = createServer(async (req, res) => {
  const response = await app.fetch(
    new Request(`http://localhost:${port}${req.url}`, {
      method: req.method,
      headers: req.headers,
      ...(req.method === 'POST' && { body: Readable.toWeb(req), duplex: 'half' }),
    }),
  )
  res.writeHead(response.status, Object.fromEntries(response.headers))
  res.end(Buffer.from(await response.arrayBuffer()))
})
server.listen(port, 'localhost', () => console.log(`listening on port ${port}`))
