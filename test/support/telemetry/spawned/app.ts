/** An app on the given framework. Its parent process passes the keys, so that it can sign tokens. */
import { frameworks } from '../../../../fixtures/frameworks.js'
import { AUDIENCE, ISSUER } from '../../../../fixtures/kit.js'
import { createVerifier } from '../../../../src/index.js'

const [framework = '', jwks = '', mode = 'enforce'] = process.argv.slice(2)
const verifier = createVerifier(
  {
    issuer: { url: ISSUER, jwks: JSON.parse(jwks) },
    audience: AUDIENCE,
    mode: mode as 'enforce' | 'observe',
    routes: {
      'GET /orders/:id': { scope: 'orders:read' },
      'GET /admin/:id': { scope: 'admin' },
      'DELETE /orders/:id': 'authenticated',
    },
  },
  {
    traceAllowed: 1,
    onDecision({ outcome }, { overrules, traceId }) {
      process.send?.({ outcome, overrules, traceId })
    },
  },
)
const app = await frameworks[framework]?.({
  policies: [verifier],
  routes: [
    { method: 'get', path: '/orders/:id' },
    { method: 'get', path: '/admin/:id' },
    { method: 'delete', path: '/orders/:id', rule: { user: { acr: ['phr'] } } },
  ],
})
process.send?.({ origin: app?.origin })
