import type { Policy } from '../../../src/index.js'

/** Twenty requests for each run, and no more than 100,000 for the agent. */
export function limitPolicy(jwks: { keys: object[] }): Policy {
  return {
    issuer: { url: 'https://as.example.com', jwks },
    audience: 'https://orders.example.com',
    routes: {
      'GET /orders/:id': {
        limit: [
          { per: 'run', max: 20, window: 60 },
          { per: 'agent', max: 100_000, window: 3600, name: 'all' },
        ],
      },
    },
  }
}
