import { writeFileSync } from 'node:fs'
import type { RequestListener } from 'node:http'
import { expect, vi } from 'vitest'
import type { Verifier } from '../../../src/index.js'
import { honest, serve } from './issuer.js'
import type { Example } from './run.js'

const policy = {
  issuer: 'https://as.example.com',
  audience: 'https://orders.example.com',
  routes: { 'GET /orders/:id': 'authenticated' },
}

/** Writes the policy to a file of its own. */
const file = `import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
const file = mkdtempSync(tmpdir() + '/policy-') + '/policy.json'
writeFileSync(file, ${JSON.stringify(JSON.stringify(policy))})`

/** Examples that read a policy file. `express` makes an Express app. */
export const policyFileExamples = (express: string): Readonly<Record<string, Example>> => ({
  'load-policy': {
    replace: ["'policy.json'", 'file'],
    before: file,
    after: 'export { verifiers }',
    check: ({ verifiers }) => expect(verifiers).toHaveLength(2),
  },
  'watch-policy': {
    replace: ["'policy.json'", 'file'],
    before: `${express}\n${file}`,
    after: "app.get('/orders/:id', (_req, res) => void res.end())\nexport { app, file, verifier }",
    check: async (exports) => {
      const origin = await serve(exports.app as RequestListener)
      const status = async () => (await fetch(`${origin}/orders/42`, honest('/orders/42'))).status
      expect(await status()).toBe(200)
      const next = { ...policy, routes: { 'GET /orders/:id': { scope: 'orders:audit' } } }
      writeFileSync(exports.file as string, JSON.stringify(next))
      await vi.waitFor(async () => expect(await status()).toBe(403), { timeout: 10_000, interval: 50 })
      ;(exports.verifier as Verifier).close()
    },
  },
})
