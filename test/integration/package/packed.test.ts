import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import express from 'express'
import { decodeJwt, generateKeyPair } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startAuthorizationServer } from '../../../fixtures/authorization-server/server.js'
import { createTestIssuer } from '../../../src/testing/index.js'
import { registerClient } from '../../support/independent-client.js'
import { entries, install, manifest, type Project, pack, root } from '../../support/package/installed.js'

const require = createRequire(import.meta.url)

let tarball: string
beforeAll(() => {
  tarball = pack()
}, 120_000)
afterAll(() => rmSync(dirname(tarball), { recursive: true }))

describe('the packed package', () => {
  let project: Project
  beforeAll(() => {
    project = install(tarball, 'module')
  }, 60_000)
  afterAll(() => project.remove())

  it.each(entries)('has the entry %s, which needs no framework to be there', (entry) => {
    exported.import ??= namesOf('--input-type=module', (name) => `Object.keys(await import('${name}'))`)
    expect(exported.import[entry]?.length).toBeGreaterThan(0)
  })

  it.each(entries)('has %s for require(), with the same exports', (entry) => {
    exported.import ??= namesOf('--input-type=module', (name) => `Object.keys(await import('${name}'))`)
    exported.require ??= namesOf('--input-type=commonjs', (name) => `Object.keys(require('${name}'))`)
    expect(exported.require[entry]).toEqual(exported.import[entry])
    expect(exported.require[entry]?.length).toBeGreaterThan(0)
  })

  const exported: Partial<Record<'import' | 'require', Record<string, string[]>>> = {}

  /** The names that each entry exports, in one process for all of them. */
  function namesOf(type: string, load: (entry: string) => string): Record<string, string[]> {
    const members = entries.map((entry) => `'${entry}': ${load(entry)}.sort()`)
    const code = `console.log(JSON.stringify({ ${members.join(', ')} }))`
    // Without this flag, Node can load ES modules by require(), and would not show that there is no need to.
    return JSON.parse(project.node('--no-experimental-require-module', type, '-e', code))
  }

  it('has the command ajwt, for npx', () => {
    const policy = { issuer: 'https://as.example.com', audience: 'https://api.example.com', routes: {} }
    writeFileSync(join(project.folder, 'policy.json'), JSON.stringify(policy))
    const npx = (...args: string[]) =>
      execFileSync('npx', ['--yes', '--prefer-offline', `--package=${tarball}`, '--', 'ajwt', ...args], {
        cwd: project.folder,
        encoding: 'utf8',
        stdio: 'pipe',
      })
    expect(npx('--version').trim()).toBe(manifest.version)
    expect(npx('check', 'policy.json', '--json')).toBe('[]\n')
    expect(() => npx('explain', '--policy', 'policy.json', '--url', '/orders')).toThrow(/Command failed/)
  }, 120_000)

  it('holds what it runs on and what a reader needs, and no more', () => {
    const files = execFileSync('find', ['.', '-type', 'f'], {
      cwd: join(project.folder, 'node_modules/ajwt'),
      encoding: 'utf8',
    })
      .trim()
      .split('\n')
      .map((file) => file.replace('./', ''))
    const code = /^dist\/(cjs\/)?(src|middleware)\/.*\.(js|d\.ts)$|^dist\/cjs\/shared\/[\w-]+\.js$/
    const documentation = /^docs\/.*\.md$|^fixtures\/examples\/[a-z-]+\/[a-z-]+\.(md|js|json)$/i
    expect(files.filter((file) => documentation.test(file)).length).toBeGreaterThan(30)
    expect(files.filter((file) => !code.test(file) && !documentation.test(file)).sort()).toEqual([
      'CHANGELOG.md',
      'CONTRIBUTING.md',
      'LICENSE',
      'README.md',
      'SECURITY.md',
      'dist/cjs/package.json',
      'dist/package.json',
      'package.json',
    ])
  })

  it('has the types of every entry, for strict users of ES modules and of CommonJS', () => {
    const peers = ['express', '@types', 'koa', 'hono', 'fastify', 'oidc-provider']
    project.link(peers.filter((name) => !(name in manifest.dependencies)))
    const users = { 'user.mts': 'nodenext', 'user.cts': 'node16' }
    for (const [file, module] of Object.entries(users)) {
      const lines = entries.map((entry, index) => `export * as e${index} from '${entry}'`)
      writeFileSync(join(project.folder, file), lines.join('\n'))
      const flags = `--noEmit --strict --module ${module} --target es2023 --lib es2023 --types node ${file}`
      const tsc = join(root, 'node_modules/typescript/bin/tsc')
      expect(errorsOf(() => project.node(tsc, ...flags.split(' ')))).toEqual([])
    }
  }, 120_000)
})

describe('a project of CommonJS', () => {
  let project: Project
  beforeAll(() => {
    project = install(tarball, 'commonjs')
    project.link(['express'])
    writeFileSync(join(project.folder, 'entries.json'), JSON.stringify({ entries }))
  }, 60_000)
  afterAll(() => project.remove())

  it('loads every entry, and tests a protected app, with jest and its defaults', () => {
    project.copy({ 'entries.js': 'entries.test.js', 'orders.js': 'orders.test.js' })
    project.node(
      require.resolve('jest/bin/jest'),
      '--json',
      '--outputFile=results.json',
      '--cacheDirectory=cache',
    )
    // All entries but one, and the tests of orders.js.
    const count = entries.length - 1 + 7
    const results = JSON.parse(readFileSync(join(project.folder, 'results.json'), 'utf8'))
    expect(results).toMatchObject({ numPassedTests: count, numTotalTests: count })
  }, 120_000)

  it.each([
    ['required.node.cjs', '--no-experimental-require-module'],
    ['imported.node.mjs', '--no-warnings'],
  ])('does the same with node:test in %s', (file, flag) => {
    project.copy({ [file]: file })
    const output = project.node(flag, '--test', '--test-reporter=tap', file)
    expect(output).toContain(`# pass ${entries.length + 1}\n# fail 0`)
  })
})

describe('a process that loads the package by import and by require()', () => {
  let project: Project
  let imported: Copy
  let required: Copy
  beforeAll(async () => {
    project = install(tarball, 'module')
    project.link(['oidc-provider'])
    const load = (copy: 'import' | 'require', entry: string) => {
      const key = entry === 'ajwt' ? '.' : entry.replace('ajwt', '.')
      const file = join(project.folder, 'node_modules/ajwt', manifest.exports[key][copy].default)
      return copy === 'import' ? import(pathToFileURL(file).href) : require(file)
    }
    const copyOf = async (copy: 'import' | 'require'): Promise<Copy> => ({
      core: await load(copy, 'ajwt'),
      express: await load(copy, 'ajwt/express'),
      agent: await load(copy, 'ajwt/agent'),
      grants: await load(copy, 'ajwt/oidc-provider'),
    })
    imported = await copyOf('import')
    required = await copyOf('require')
    expect(imported.core.createVerifier).not.toBe(required.core.createVerifier)
  }, 60_000)
  afterAll(() => project.remove())

  const issuer = createTestIssuer()
  const policy = {
    issuer: issuer.policyIssuer,
    audience: issuer.audience,
    routes: { 'GET /orders/:id': { scope: 'orders:read' } },
  }
  const call = { url: '/orders/17', scope: 'orders:read' }
  const pairs = [
    ['import', 'require'],
    ['require', 'import'],
  ] as const
  const copy = (name: 'import' | 'require') => (name === 'import' ? imported : required)

  it.each(pairs)(
    'has one ruling on a request of a verifier by %s, in adapters by both',
    async (one, other) => {
      const verifier = copy(one).core.createVerifier(policy)
      const app = express()
      // A second ruling would find the proof replayed.
      app.use(copy(one).express.ajwt(verifier), copy(other).express.ajwt(verifier))
      app.get('/orders/:id', copy(one).express.requireIntent({ agents: ['planner'] }), (req, res) => {
        res.json({ readBy: req.ajwt?.agent.id })
      })
      const server = app.listen(0, '127.0.0.1')
      await once(server, 'listening')
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}${call.url}`
      const ask = (agent: string) => fetch(url, { headers: issuer.headers({ ...call, agent }) })
      try {
        expect(await (await ask('planner')).json()).toEqual({ readBy: 'planner' })
        expect(await (await ask('somebody')).json()).toMatchObject({ code: 'agent_not_allowed' })
        expect((await fetch(url)).status).toBe(401)
      } finally {
        server.close()
        server.closeAllConnections()
      }
    },
  )

  it.each(pairs)('has one way into a replay store by %s', async (one, other) => {
    const replayStore = copy(one).core.memoryReplayStore()
    const request = { method: 'GET', url: call.url, headers: issuer.headers(call) }
    const first = await copy(one).core.createVerifier(policy, { replayStore }).verify(request)
    const second = await copy(other).core.createVerifier(policy, { replayStore }).verify(request)
    expect(first.outcome).toBe('allow')
    expect(second).toMatchObject({ outcome: 'deny', code: 'proof_replayed' })
  })

  it.each(pairs)('has the claims that a grant by %s decided, for the provider by %s', async (one, other) => {
    const { agentChecksumGrant } = copy(one).grants
    const { intentClaims } = copy(other).grants
    const server = await startAuthorizationServer({
      resources: { [issuer.audience]: ['orders:read'] },
      grants: { agentChecksumGrant, intentClaims },
    })
    try {
      const definition = { id: 'planner', prompt: 'Plan.', tools: [] }
      const checksum = await copy(other).agent.agentChecksum(definition)
      const client = await registerClient(server.issuer)
      await server.registry.register({ definition, checksum, scopes: ['orders:read'] })
      server.registry.permit(client.clientId, definition.id)
      const parameters = {
        agent_id: definition.id,
        agent_checksum: checksum,
        scope: 'orders:read',
        resource: issuer.audience,
      }
      const { token = '' } = await client.requestToken(parameters, await generateKeyPair('ES256'))
      expect(decodeJwt(token)).toMatchObject({ intent: { executed_by: 'planner' } })
    } finally {
      await server.close()
    }
  })

  it.each(pairs)('tells errors by %s from others by the classes of %s', (one, other) => {
    const classes = (from: Copy) =>
      [from.core, from.agent, from.grants].flatMap((entry) =>
        Object.entries(entry as Record<string, unknown>).flatMap(([name, value]) =>
          typeof value === 'function' && value.prototype instanceof Error ? [[name, value]] : [],
        ),
      ) as [string, new (...parts: unknown[]) => Error][]
    const others = new Map(classes(copy(other)))
    expect([...others.keys()].sort()).toEqual(
      [
        'AgentDelegationError',
        'AgentIntegrityError',
        'AgentTokenError',
        'AjwtDenial',
        'AjwtDeniedError',
        'PolicyError',
        'RegistrationError',
        'Refusal',
      ].sort(),
    )
    const parts: Record<string, unknown[]> = {
      PolicyError: [[]],
      Refusal: [new Error('reason'), { clientId: 'shop', agentId: 'planner' }],
    }
    for (const [name, errorClass] of classes(copy(one))) {
      const error = new errorClass(...(parts[name] ?? [{}]))
      const found = [...others].filter(([, its]) => error instanceof its).map(([itsName]) => itsName)
      expect(found).toEqual([name])
    }
  })
})

interface Copy {
  readonly core: typeof import('../../../src/index.js')
  readonly express: typeof import('../../../middleware/express.js')
  readonly agent: typeof import('../../../src/agent/index.js')
  readonly grants: typeof import('../../../src/oidc-provider/index.js')
}

/**
 * The errors that tsc finds in the user's file, in the declarations of this package, or in no file. Other
 * packages' declarations have errors of their own.
 */
function errorsOf(compile: () => string): string[] {
  try {
    compile()
    return []
  } catch (error) {
    const lines = (error as { stdout: string }).stdout.split('\n')
    return lines.filter((line) => /\berror TS/.test(line) && !/^[^(]*node_modules\/(?!ajwt\/)/.test(line))
  }
}
