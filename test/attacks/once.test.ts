import { expect, test } from 'vitest'
import { defaultPolicy } from '../../fixtures/conformance/policy.js'
import { send } from '../../fixtures/conformance/wire.js'
import { type AppSpec, frameworks } from '../../fixtures/frameworks.js'
import { createKit, type WireRequest } from '../../fixtures/kit.js'
import { createVerifier } from '../../src/index.js'

test.each(Object.entries(frameworks))(
  'on %s a token is used up once a request, however many rules on its way say so',
  async (_, start) => {
    const kit = createKit()
    const policy = {
      ...defaultPolicy(),
      routes: { 'GET /once': { once: true }, 'GET /later': 'authenticated', 'GET /twice': { once: true } },
    } as const
    const spec: AppSpec = {
      gates: [createVerifier(policy, { now: () => kit.now })],
      routes: [
        { method: 'get', path: '/once', rule: { once: true } },
        { method: 'get', path: '/later', rule: { once: true } },
        { method: 'get', path: '/twice', rule: { once: true, scope: 'orders:read' } },
      ],
    }
    const app = await start(spec)
    try {
      const ask = async (path: string, token: string) => {
        const request: WireRequest = kit.call({ path, token })
        const { status, body } = await send(Number(new URL(app.origin).port), request)
        const { code, route } = JSON.parse(body) as { code?: string; route?: string }
        return [status, code ?? route]
      }
      const token = kit.token()
      expect(await ask('/once', token)).toEqual([200, '/once'])
      expect(await ask('/once', token)).toEqual([401, 'token_reused'])
      expect(await ask('/later', token)).toEqual([401, 'token_reused'])
      expect(await ask('/twice', kit.token())).toEqual([200, '/twice'])
      // Only used up: whatever else the second rule asks for, it still asks.
      const narrow = kit.token({ claims: { scope: '' } })
      expect(await ask('/twice', narrow)).toEqual([403, 'scope_insufficient'])
      const fresh = kit.token()
      expect(await ask('/later', fresh)).toEqual([200, '/later'])
      expect(await ask('/once', fresh)).toEqual([401, 'token_reused'])
    } finally {
      await app.close()
    }
  },
)
