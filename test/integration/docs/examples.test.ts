import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { root, textOf } from '../../support/docs/markdown.js'
import { manifest } from '../../support/package/installed.js'

// Each folder of fixtures/examples is copied, started as a user would start it, and asked over a socket.

const apis = ['express', 'koa', 'hono']
const examples = [...apis, 'oidc-provider', 'agent']
const folder = mkdtempSync(join(root, '.docs-'))
const started: ChildProcess[] = []

/** The package as `npm install ajwt` would put it there, with the sources behind each entry. */
function installSources(): void {
  const target = join(folder, 'node_modules/ajwt')
  mkdirSync(target, { recursive: true })
  const exports: Record<string, string> = {}
  for (const [entry, conditions] of Object.entries<string | { import: { default: string } }>(
    manifest.exports,
  )) {
    if (typeof conditions === 'string') continue
    const source = conditions.import.default.replace('./dist/', '').replace(/\.js$/, '.ts')
    const name = `${entry.replace('./', '').replace('.', 'core')}.js`
    writeFileSync(join(target, name), `export * from '${pathToFileURL(join(root, source))}'\n`)
    exports[entry] = `./${name}`
  }
  writeFileSync(join(target, 'package.json'), JSON.stringify({ name: 'ajwt', type: 'module', exports }))
}

function start(example: string, env: Record<string, string>) {
  const script = JSON.parse(textOf(`fixtures/examples/${example}/package.json`)).scripts.start as string
  const [, file = ''] = script.split(' ')
  const child = spawn(process.execPath, ['--import', 'tsx', file], {
    cwd: join(folder, example),
    env: { ...process.env, ...env },
  })
  started.push(child)
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (output += text))
  return {
    /** Resolves when the server listens. */
    async listening() {
      while (!output.includes('listening on port')) {
        if (child.exitCode !== null) throw new Error(output)
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
      return output
    },
    async ended() {
      if (child.exitCode === null) await once(child, 'close')
      return { code: child.exitCode, output }
    },
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

const urls = new Map<string, string>()
let issuer = ''

beforeAll(async () => {
  installSources()
  for (const example of examples) {
    cpSync(join(root, 'fixtures/examples', example), join(folder, example), { recursive: true })
    urls.set(example, `http://localhost:${await freePort()}`)
  }
  issuer = urls.get('oidc-provider') as string
  const audiences = apis.map((api) => urls.get(api)).join()
  const server = start('oidc-provider', { PORT: new URL(issuer).port, ISSUER: issuer, APIS: audiences })
  await server.listening()
}, 60_000)

afterAll(() => {
  for (const child of started) child.kill()
  rmSync(folder, { recursive: true, force: true })
})

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

  test('are these, each with a package of its own and a README of five lines at most', () => {
    expect(readdirSync(join(root, 'fixtures/examples')).sort()).toEqual([...examples].sort())
    for (const example of examples) {
      const { dependencies } = JSON.parse(textOf(`fixtures/examples/${example}/package.json`))
      expect(dependencies.ajwt).toBe(`^${manifest.version}`)
      expect(textOf(`fixtures/examples/${example}/README.md`).trim().split('\n').length).toBeLessThanOrEqual(
        5,
      )
    }
  })

  test('have one agent, which the server knows and the client is', () => {
    expect(textOf('fixtures/examples/agent/agent.json')).toBe(
      textOf('fixtures/examples/oidc-provider/agent.json'),
    )
  })
})
