import { createHash } from 'node:crypto'
import type { RequestListener } from 'node:http'
import { expect } from 'vitest'
import { sha256 } from '../../../fixtures/kit.js'
import { honest, serve } from './issuer.js'
import type { Example } from './run.js'

/** Examples of rules that read the body. `before` makes an Express app with the policy of the README. */
export const contentExamples = (before: string): Readonly<Record<string, Example>> => ({
  'limit-cost': {
    before: `${before}
const refund = (req, res) => res.json({ refunded: req.body.amount })`,
    after: 'export { app }',
    check: async (exports) => {
      const path = '/orders/42/refund'
      const origin = await serve(exports.app as RequestListener)
      const intent = { executed_by: 'agent-7', initiated_by: 'user-1', intent_hash: 'docs limit-cost' }
      const post = async (amount: unknown) => {
        const call = honest(path, 'POST', { intent })
        const headers = { ...call.headers, 'content-type': 'application/json' }
        return (await fetch(origin + path, { ...call, headers, body: JSON.stringify({ amount }) })).status
      }
      expect([await post(60), await post(41), await post('1'), await post(40)]).toEqual([200, 429, 403, 200])
    },
  },
  content: {
    before: `${before}
const refund = (req, res) => res.json({ refunded: req.body.amount })`,
    after: 'export { app }',
    check: async (exports) => {
      const path = '/orders/42/refund'
      const origin = await serve(exports.app as RequestListener)
      const post = async (body: object, query = '') => {
        const call = honest(path, 'POST', { order_id: '42', budget: 10 })
        const headers = { ...call.headers, 'content-type': 'application/json' }
        return (await fetch(origin + path + query, { ...call, headers, body: JSON.stringify(body) })).status
      }
      expect(await post({ order: '42', amount: 10 })).toBe(200)
      expect(await post({ order: '42', amount: 11 })).toBe(403)
      expect(await post({ order: '43', amount: 10 })).toBe(403)
      expect(await post({ order: '42', amount: 10 }, '?dryRun=1')).toBe(403)
    },
  },
  digest: {
    before: `${before}\nimport { requireIntent } from 'ajwt/express'
const refund = (req, res) => res.json({ refunded: req.body.amount })`,
    after: 'export { app }',
    check: async (exports) => {
      const path = '/orders/42/refund'
      const origin = await serve(exports.app as RequestListener)
      const approved = '{"amount":10}'
      const post = async (body: string) => {
        const call = honest(path, 'POST', { action_hash: sha256(approved) })
        const digest = `sha-256=:${createHash('sha256').update(body).digest('base64')}:`
        const headers = { ...call.headers, 'content-type': 'application/json', 'content-digest': digest }
        return (await fetch(origin + path, { ...call, headers, body })).status
      }
      expect([await post(approved), await post('{"amount":11}')]).toEqual([200, 403])
    },
  },
})
