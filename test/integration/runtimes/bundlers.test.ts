import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { folderOf, isInstalled, needs } from '../../support/installed.js'
import { entries, install, type Project, pack } from '../../support/package/installed.js'
import { type Checks, createChecks } from '../../support/runtimes/checks.js'
import { commandOf, startProgram } from '../../support/runtimes/servers.js'

/** The loader runs before a program, by `node --import`: it has no place in a bundle. */
const bundled = entries.filter((entry) => entry !== 'ajwt/agent/loader')

const users = fileURLToPath(new URL('../../support/runtimes/users', import.meta.url))

describe.runIf(isInstalled('runtimes'))(`bundlers${needs('runtimes')}`, () => {
  let tarball: string
  let project: Project
  let checks: Checks
  beforeAll(async () => {
    tarball = pack()
    project = install(tarball, 'module')
    project.link(['hono', 'express', 'koa', 'fastify', 'ioredis', 'redis', 'oidc-provider', '@types'])
    checks = await createChecks()
    for (const file of readdirSync(users)) cpSync(join(users, file), join(project.folder, file))
    writeFileSync(join(project.folder, 'policies.json'), JSON.stringify(checks.policies))
    writeFileSync(join(project.folder, 'all.js'), programOf(bundled, 'await'))
  }, 180_000)
  afterAll(() => {
    project.remove()
    rmSync(dirname(tarball), { recursive: true })
  })

  /** Runs a command of `test/runtimes` in the project. */
  function run(name: string, ...flags: string[]): string {
    return execFileSync(commandOf(name), flags, { cwd: project.folder, encoding: 'utf8', stdio: 'pipe' })
  }

  /**
   * The output of a bundle of every entry: the number of exports of each, and the outcome of an honest
   * request.
   */
  function expectEveryEntry(output: string, names = bundled): void {
    const { outcome, ...counts } = JSON.parse(output.trim().split('\n').at(-1) ?? '')
    expect(outcome).toBe('allow')
    expect(Object.keys(counts).sort()).toEqual([...names].sort())
    for (const count of Object.values(counts)) expect(count).toBeGreaterThan(0)
  }

  /** A Worker is right if all requests of the checks get the right answer on workerd. */
  async function expectRightWorker(file: string): Promise<void> {
    const server = await startProgram('workerd', join(project.folder, file))
    try {
      const results = await checks.run((request) =>
        fetch(request.url.replace('https://orders.test', `http://127.0.0.1:${server.port}`), request),
      )
      expect(results.filter(({ expected, found }) => found !== expected)).toEqual([])
    } finally {
      server.close()
    }
  }

  test('webpack bundles every entry for Node', () => {
    const script = `
      import webpack from ${JSON.stringify(join(folderOf('runtimes'), 'node_modules/webpack/lib/index.js'))}
      const options = {
        mode: 'production', optimization: { minimize: false }, target: 'node20', context: import.meta.dirname ?? process.cwd(), entry: './all.js',
        output: { path: process.cwd() + '/webpack', filename: 'all.mjs', module: true, chunkFormat: 'module', library: { type: 'module' } },
        experiments: { outputModule: true },
        externals: [/^(oidc-provider|fastify|express|koa)(\\/|$)/], externalsType: 'module-import',
      }
      webpack(options, (error, stats) => {
        const problems = error ?? (stats.hasErrors() ? stats.toString({ all: false, errors: true }) : undefined)
        if (problems !== undefined) { console.error(problems); process.exitCode = 1 }
      })`
    writeFileSync(join(project.folder, 'webpack.mjs'), script)
    project.node('webpack.mjs')
    expectEveryEntry(project.node('webpack/all.mjs'))
  }, 120_000)

  test('webpack bundles a Worker', async () => {
    const script = `
      import webpack from ${JSON.stringify(join(folderOf('runtimes'), 'node_modules/webpack/lib/index.js'))}
      webpack({
        mode: 'production', optimization: { minimize: false }, target: 'webworker', context: process.cwd(), entry: './worker.js',
        resolve: { conditionNames: ['workerd', 'worker', 'browser', 'module', 'import'] },
        output: { path: process.cwd(), filename: 'worker.webpack.mjs', module: true, chunkFormat: 'module', library: { type: 'module' } },
        experiments: { outputModule: true },
      }, (error, stats) => {
        if (error || stats.hasErrors()) { console.error(error ?? stats.toString({ all: false, errors: true })); process.exitCode = 1 }
      })`
    writeFileSync(join(project.folder, 'webpack-worker.mjs'), script)
    project.node('webpack-worker.mjs')
    await expectRightWorker('worker.webpack.mjs')
  }, 120_000)

  test('Vite bundles every entry for SSR', () => {
    const config = `export default {
      logLevel: 'error',
      build: { ssr: 'all.js', outDir: 'vite', rollupOptions: { external: [/^(oidc-provider|fastify|express|koa)(\\/|$)/] } },
      ssr: { noExternal: /^(ajwt|jose|zod|lru-cache|tiny-lru|canonicalize|@noble|hono|@opentelemetry)/ },
    }`
    writeFileSync(join(project.folder, 'vite.config.mjs'), config)
    run('vite', 'build')
    expectEveryEntry(project.node('vite/all.js'))
  }, 120_000)

  test('Wrangler bundles a Worker without nodejs_compat', async () => {
    const config = { name: 'orders', main: 'worker.js', compatibility_date: '2026-07-01' }
    writeFileSync(join(project.folder, 'wrangler.json'), JSON.stringify(config))
    const output = run(
      'node',
      join(folderOf('runtimes'), 'node_modules/wrangler/bin/wrangler.js'),
      'deploy',
      '--dry-run',
      '--outdir=wrangler',
    )
    expect(output).not.toMatch(/node:/)
    cpSync(join(project.folder, 'wrangler/worker.js'), join(project.folder, 'worker.wrangler.mjs'))
    await expectRightWorker('worker.wrangler.mjs')
  }, 120_000)

  test('ts-node loads every entry in a project of CommonJS, with its types', () => {
    const other = install(tarball, 'commonjs')
    try {
      other.link(['hono', 'express', 'koa', 'fastify', 'ioredis', 'redis', 'oidc-provider', '@types'])
      writeFileSync(join(other.folder, 'all.ts'), programOf(entries, 'void'))
      const compilerOptions = {
        module: 'nodenext',
        target: 'es2022',
        skipLibCheck: true,
        types: ['node'],
      }
      writeFileSync(join(other.folder, 'tsconfig.json'), JSON.stringify({ compilerOptions }))
      mkdirSync(join(other.folder, 'out'))
      const output = other.node(join(folderOf('runtimes'), 'node_modules/ts-node/dist/bin.js'), 'all.ts')
      expectEveryEntry(output, entries)
    } finally {
      other.remove()
    }
  }, 120_000)

  test('a bundle for Node by esbuild has every entry', () => {
    const flags = [
      '--bundle',
      '--platform=node',
      '--format=esm',
      '--log-level=error',
      '--outfile=esbuild.mjs',
    ]
    const external = ['oidc-provider', 'fastify', 'express', 'koa'].map((name) => `--external:${name}`)
    run('esbuild', 'all.js', ...flags, ...external)
    expect(readFileSync(join(project.folder, 'esbuild.mjs'), 'utf8')).not.toContain('@noble/hashes')
    expectEveryEntry(project.node('esbuild.mjs'))
  }, 60_000)
})

/** `tell(counts)` prints the counts, and the outcome of an honest request through the entries `e0` and on. */
/** Prints how many exports each entry has, and the outcome of an honest request. */
function programOf(names: readonly string[], call: 'await' | 'void'): string {
  const imports = names.map((name, index) => `import * as e${index} from '${name}'`).join('\n')
  const counts = names.map((name, index) => `'${name}': Object.keys(e${index}).length`).join(', ')
  return `${imports}
async function tell(counts) {
  const all = [${names.map((_, index) => `e${index}`).join(', ')}]
  const named = (name) => all.find((entry) => name in entry)[name]
  const issuer = named('createTestIssuer')()
  const verifier = named('createVerifier')({
    issuer: issuer.policyIssuer, audience: issuer.audience, routes: { 'GET /orders/:id': { scope: 'orders:read' } },
  })
  const headers = issuer.headers({ url: '/orders/1', scope: 'orders:read' })
  const { outcome } = await verifier.verify({ method: 'GET', url: '/orders/1', headers })
  console.log(JSON.stringify({ ...counts, outcome }))
}
${call} tell({ ${counts} })
`
}
