import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { copyExamples } from '../../support/docs/example-folder.js'
import { root, textOf } from '../../support/docs/markdown.js'
import { folderOf, isInstalled, needs } from '../../support/installed.js'
import { manifest } from '../../support/package/installed.js'
import { freePort } from '../../support/program.js'

// Each folder of fixtures/examples is copied, started as a user would start it, and asked over a socket.

const apis = ['express', 'koa', 'hono', 'fastify']
const examples = [...apis, 'oidc-provider', 'agent']
/** `test/integration/authorization-servers/better-auth.test.ts` runs the last. */
const all = [...examples, 'mcp', 'better-auth']
const { start, close } = copyExamples(examples)
afterAll(close)
const hasMcp = isInstalled('mcp')
const mcp = hasMcp ? copyExamples(['mcp'], `${folderOf('mcp')}/node_modules`) : undefined
afterAll(() => mcp?.close())

const urls = new Map<string, string>()
let issuer = ''

beforeAll(async () => {
  for (const example of [...examples, 'mcp']) urls.set(example, `http://localhost:${await freePort()}`)
  issuer = urls.get('oidc-provider') as string
  const audiences = [...apis, 'mcp'].map((api) => urls.get(api)).join()
  const server = start('oidc-provider', { PORT: new URL(issuer).port, ISSUER: issuer, APIS: audiences })
  await server.listening()
}, 60_000)

describe('the examples', () => {
  test.each(apis)(
    '%s serves the agent, and nobody without credentials',
    async (example) => {
      const url = urls.get(example) as string
      const env = { PORT: new URL(url).port, ISSUER: issuer, PUBLIC_URL: url }
      expect(await start(example, env).listening()).toContain('"ready":true')
      expect(await (await fetch(`${url}/health`)).json()).toEqual({ ok: true })
      expect((await fetch(`${url}/orders/17`)).status).toBe(401)
      const { code, output } = await start('agent', { ISSUER: issuer, API: url }).ended()
      expect([code, output]).toEqual([
        0,
        "{ order: '17', readBy: 'orders-bot' }\n{ refunded: '17', by: 'orders-bot' }\n403 route_not_declared\n",
      ])
    },
    60_000,
  )

  test.skipIf(!hasMcp)(
    `mcp serves the agent its tools, with the arguments that its rules allow${needs('mcp')}`,
    async () => {
      const url = urls.get('mcp') as string
      const env = { PORT: new URL(url).port, ISSUER: issuer, PUBLIC_URL: url }
      expect(await mcp?.start('mcp', env).listening()).toContain('"ready":true')
      expect((await fetch(`${url}/mcp`, { method: 'POST' })).status).toBe(401)
      const { code, output = '' } =
        (await mcp?.start('mcp', { ISSUER: issuer, API: url }, 'agent').ended()) ?? {}
      expect([code, output.split('\n')]).toEqual([
        0,
        [
          'done: order 17, read by orders-bot',
          'done: order 17: 25 refunded by orders-bot',
          expect.stringContaining('denied: Access denied (argument_not_allowed)'),
          '',
        ],
      ])
    },
    60_000,
  )

  test('are these, each with a package of its own and a README of five lines at most', () => {
    expect(readdirSync(join(root, 'fixtures/examples')).sort()).toEqual([...all].sort())
    for (const example of all) {
      const { dependencies } = JSON.parse(textOf(`fixtures/examples/${example}/package.json`))
      expect(dependencies.ajwt).toBe(`^${manifest.version}`)
      expect(textOf(`fixtures/examples/${example}/README.md`).trim().split('\n').length).toBeLessThanOrEqual(
        5,
      )
    }
  })

  test('have one agent, which the server knows and the client is', () => {
    for (const example of ['agent', 'mcp']) {
      expect(textOf(`fixtures/examples/${example}/agent.json`)).toBe(
        textOf('fixtures/examples/oidc-provider/agent.json'),
      )
    }
  })
})
