import { execFileSync } from 'node:child_process'
import { cpSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { isInstalled, needs } from '../../support/installed.js'
import { entries, install, type Project, pack } from '../../support/package/installed.js'
import { type Checks, createChecks, type Send } from '../../support/runtimes/checks.js'
import { lambdaSenders } from '../../support/runtimes/lambda.js'
import { bundleFor, commandOf, type RuntimeServer, startProgram } from '../../support/runtimes/servers.js'

const users = fileURLToPath(new URL('../../support/runtimes/users', import.meta.url))

/** Of `test/runtimes`, which has no types for the compiler here. */
interface EdgeRuntimeModule {
  EdgeRuntime: new (options: {
    initialCode: string
  }) => { dispatchFetch(url: string, init: RequestInit): Promise<Response> }
}

describe.runIf(isInstalled('runtimes'))(`the packed package${needs('runtimes')}`, () => {
  let tarball: string
  let project: Project
  let checks: Checks
  const servers: RuntimeServer[] = []
  beforeAll(async () => {
    tarball = pack()
    project = install(tarball, 'module')
    project.link(['hono', '@hono/node-server', 'express', 'koa', 'ioredis', 'redis', 'oidc-provider'])
    checks = await createChecks()
    for (const file of readdirSync(users)) cpSync(join(users, file), join(project.folder, file))
    writeFileSync(join(project.folder, 'policies.json'), JSON.stringify(checks.policies))
  }, 180_000)
  afterAll(() => {
    for (const server of servers) server.close()
    project.remove()
    rmSync(dirname(tarball), { recursive: true })
  })

  async function expectAllRight(send: Send): Promise<void> {
    const results = await checks.run(send)
    expect(results.length).toBeGreaterThan(50)
    expect(results.filter(({ expected, found }) => found !== expected)).toEqual([])
  }

  async function sendTo(runtime: 'workerd' | 'bun' | 'deno' | 'node', file: string): Promise<Send> {
    const server = await startProgram(runtime, join(project.folder, file))
    servers.push(server)
    return (request) =>
      fetch(request.url.replace('https://orders.test', `http://127.0.0.1:${server.port}`), request)
  }

  test.each(['node', 'bun', 'deno'] as const)(
    'decides right on %s',
    async (runtime) => {
      await expectAllRight(await sendTo(runtime, `serve-${runtime}.js`))
    },
    60_000,
  )

  test('decides right on workerd, without nodejs_compat', async () => {
    bundleFor('workerd', join(project.folder, 'worker.js'), join(project.folder, 'worker.bundle.mjs'))
    await expectAllRight(await sendTo('workerd', 'worker.bundle.mjs'))
  }, 60_000)

  test('decides right on edge-runtime', async () => {
    const file = join(project.folder, 'edge.bundle.js')
    const flags = [
      '--bundle',
      '--format=iife',
      '--log-level=error',
      '--conditions=edge-light,browser',
      '--platform=neutral',
    ]
    execFileSync(commandOf('esbuild'), [
      join(project.folder, 'edge.js'),
      ...flags,
      '--main-fields=module,main',
      `--outfile=${file}`,
    ])
    const { EdgeRuntime }: EdgeRuntimeModule = createRequire(commandOf('edge-runtime'))('edge-runtime')
    const { readFileSync } = await import('node:fs')
    const runtime = new EdgeRuntime({ initialCode: readFileSync(file, 'utf8') })
    await expectAllRight((request) =>
      runtime.dispatchFetch(request.url, {
        method: request.method,
        headers: Object.fromEntries(request.headers),
      }),
    )
  }, 60_000)

  test.each(Object.entries(lambdaSenders))(
    'decides right in AWS Lambda, %s',
    async (_name, senderOf) => {
      const { handler } = await import(pathToFileURL(join(project.folder, 'lambda.js')).href)
      await expectAllRight(senderOf(handler))
    },
    60_000,
  )

  test.each([
    ['bun', ['run', 'load.js']],
    ['deno', ['run', '--allow-all', '--node-modules-dir=manual', 'load.js']],
  ])(
    'loads every entry on %s',
    (runtime, flags) => {
      const output = execFileSync(commandOf(runtime), [...flags, ...entries], {
        cwd: project.folder,
        encoding: 'utf8',
      })
      const found = JSON.parse(output.trim().split('\n').at(-1) ?? '')
      expect(Object.keys(found).sort()).toEqual([...entries].sort())
      for (const count of Object.values(found)) expect(count).toBeGreaterThan(0)
    },
    60_000,
  )
})
