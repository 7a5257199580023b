import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import type { Context } from 'hono'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { emitPolicy } from '../../../src/compile/emit-policy.js'
import { createTestIssuer } from '../../../src/testing/index.js'
import { tableUnder } from '../../support/docs/markdown.js'
import { isInstalled, needs } from '../../support/installed.js'
import { commandOf } from '../../support/runtimes/servers.js'

const root = fileURLToPath(new URL('../../..', import.meta.url))

describe.runIf(isInstalled('runtimes'))(`a bundle by esbuild${needs('runtimes')}`, () => {
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'ajwt-size-'))
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  /** Bundles a text that imports `ajwt/...`, from the sources, and tells what is in the bundle. */
  function bundle(code: string, conditions: readonly string[]) {
    const source = code.replaceAll(/['"]ajwt(?:\/(\w+))?['"]/g, (_, entry) =>
      JSON.stringify(
        join(
          root,
          entry === undefined
            ? 'src/index.ts'
            : entry === 'agent'
              ? 'src/agent/index.ts'
              : `middleware/${entry}.ts`,
        ),
      ),
    )
    writeFileSync(join(folder, 'entry.mjs'), source)
    const flags = [
      '--bundle',
      '--minify',
      '--format=esm',
      '--external:hono',
      '--log-level=error',
      '--platform=neutral',
    ]
    const all = [
      ...flags,
      '--main-fields=module,main',
      `--conditions=${['module', ...conditions].join(',')}`,
      '--external:node:*',
    ]
    execFileSync(
      commandOf('esbuild'),
      ['entry.mjs', ...all, '--outfile=bundle.mjs', '--metafile=meta.json'],
      {
        cwd: folder,
        stdio: 'pipe',
      },
    )
    const text = readFileSync(join(folder, 'bundle.mjs'))
    const { outputs } = JSON.parse(readFileSync(join(folder, 'meta.json'), 'utf8'))
    const { inputs } = outputs['bundle.mjs'] as { inputs: Record<string, { bytesInOutput: number }> }
    return {
      kib: gzipSync(text, { level: 9 }).length / 1024,
      inputs: Object.keys(inputs).filter((file) => (inputs[file]?.bytesInOutput ?? 0) > 0),
      text: text.toString(),
    }
  }

  const core = `export { createVerifier } from 'ajwt'`
  const hono = `export { ajwt } from 'ajwt/hono'`
  const agent = `export { createAgentClient } from 'ajwt/agent'`

  const onNode = ['node']
  const inWorkers = ['workerd', 'worker', 'browser']
  const checked = (conditions: readonly string[]) => ['ajwt-checked', ...conditions]
  const documented = tableUnder('docs/deployment.md', 'Bundles')

  // A bundle that grows or shrinks beyond 3 % is to be noticed, decided, and documented.
  test.each([
    ['createVerifier', core, (conditions: readonly string[]) => conditions],
    ['ajwt of ajwt/hono', hono, (conditions: readonly string[]) => conditions],
    ['createVerifier, with a checked policy', core, checked],
    ['ajwt of ajwt/hono, with a checked policy', hono, checked],
    ['createAgentClient', agent, (conditions: readonly string[]) => conditions],
  ])('%s has the documented size', (name, code, conditionsOf) => {
    const row = documented.find(([cell = '']) => cell.replaceAll('`', '') === name) ?? []
    const figures = row.slice(1).map(Number)
    expect(figures).toHaveLength(2)
    for (const [index, conditions] of [onNode, inWorkers].entries()) {
      const { kib } = bundle(code, conditionsOf(conditions))
      expect(kib / (figures[index] ?? 0)).toBeGreaterThan(0.97)
      expect(kib / (figures[index] ?? 0)).toBeLessThan(1.03)
    }
  })

  test('the client of an agent has at most 24 KiB, with its grants for any authorization server', () => {
    expect(bundle(agent, onNode).kib).toBeLessThan(24)
  })

  test('a bundle has the small LRU cache, and not lru-cache', () => {
    for (const conditions of [['node'], ['ajwt-checked', 'node'], ['workerd', 'worker', 'browser']]) {
      const { inputs } = bundle(core, conditions)
      expect(inputs.some((file) => file.includes('node_modules/tiny-lru/'))).toBe(true)
      expect(inputs.filter((file) => file.includes('node_modules/lru-cache/'))).toEqual([])
    }
  })

  /** Modules that only check a policy, or give advice. */
  const leftOut = [
    'node_modules/zod/',
    'compile/policy-problems.ts',
    'compile/unreachable.ts',
    'explain/advice.ts',
    'explain/remedies.ts',
    'policy/issuer-problems.ts',
    'policy/json-schema.ts',
    'policy/known-servers.ts',
    'policy/parse.ts',
    'policy/route-key-problem.ts',
    'policy/schema.ts',
    'token/issuer-resolver.ts',
  ]

  test('with the condition ajwt-checked, zod is not in the bundle', () => {
    expect(bundle(hono, ['node']).inputs.some((file) => file.includes('node_modules/zod/'))).toBe(true)
    const { inputs } = bundle(hono, ['ajwt-checked', 'node'])
    expect(inputs.filter((file) => leftOut.some((name) => file.includes(name)))).toEqual([])
  })

  test('for Workers, no module of Node is in the bundle, nor is a Buffer', () => {
    const { text } = bundle(`${core}\n${hono}`, ['workerd', 'worker', 'browser'])
    expect(text).not.toMatch(/(from|import|require)\s*\(?["']node:/)
    expect(text).not.toMatch(/\bBuffer\b(?!\.isBuffer)/)
  })

  test('a checked policy decides as it did before, and no other policy is accepted', async () => {
    const issuer = createTestIssuer()
    const policy = {
      issuer: issuer.policyIssuer,
      audience: issuer.audience,
      routes: { 'GET /orders/:id': { scope: 'orders:read' }, 'GET /admin': { scope: 'admin' } },
    }
    const checked = emitPolicy(policy).replace('export default', 'export const policy =')
    const code = `${checked}\nimport { createVerifier } from 'ajwt'\nexport { createVerifier }`
    bundle(code, ['ajwt-checked', 'node'])
    const { createVerifier, policy: own } = await import(join(folder, 'bundle.mjs'))
    const verifier = createVerifier(own)
    const ask = (url: string) =>
      verifier.verify({ method: 'GET', url, headers: issuer.headers({ url, scope: 'orders:read' }) })
    expect(await ask('/orders/1')).toMatchObject({ outcome: 'allow' })
    expect(await ask('/admin')).toMatchObject({ code: 'scope_insufficient' })
    expect(await ask('/other')).toMatchObject({ code: 'route_not_declared' })
    expect(() => createVerifier(policy)).toThrow(/is not checked/)
    expect(() => createVerifier(own, { resolveIssuer: () => undefined })).toThrow(
      /options\.resolveIssuer: cannot be used in a bundle/,
    )
  })

  test('checked rules of handlers apply in such a bundle, with their policy, and no other rule does', async () => {
    const issuer = createTestIssuer()
    const policy = {
      issuer: issuer.policyIssuer,
      audience: issuer.audience,
      routes: { 'GET /orders': { scope: 'orders:read' } },
    }
    const emit = (name: string, source: string) =>
      writeFileSync(
        join(folder, name),
        source.replaceAll('"ajwt"', JSON.stringify(join(root, 'src/index.ts'))),
      )
    emit('own.mjs', emitPolicy(policy, { read: {}, admin: { scope: 'admin' } }))
    emit('other.mjs', emitPolicy({ ...policy, preflight: true }, { read: {} }))
    const hono = JSON.stringify(join(root, 'node_modules/hono/dist/index.js'))
    const code = `export { createVerifier } from 'ajwt'
      export { ajwt, requireIntent } from 'ajwt/hono'
      export { default as ownPolicy, rules as ownRules } from './own.mjs'
      export { rules as otherRules } from './other.mjs'
      export { Hono } from ${hono}`
    bundle(code, ['ajwt-checked', 'node'])
    const loaded = await import(join(folder, 'bundle.mjs?rules'))
    const { createVerifier, ajwt, requireIntent, Hono, ownPolicy, ownRules, otherRules } = loaded
    const verifier = createVerifier(ownPolicy)
    const url = '/orders'
    const headers = issuer.headers({ url, scope: 'orders:read' })
    const decision = await verifier.verify({ method: 'GET', url, headers })
    expect(decision).toMatchObject({ outcome: 'allow' })
    expect(await verifier.check(decision, ownRules.read)).toBeUndefined()
    expect(await verifier.check(decision, ownRules.admin)).toMatchObject({ code: 'scope_insufficient' })
    await expect(verifier.check(decision, { scope: 'orders:read' })).rejects.toThrow(
      /is not checked: pass a rule/,
    )
    const warning = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    expect(await verifier.check(decision, otherRules.read)).toMatchObject({ code: 'internal_error' })
    expect(warning).toHaveBeenCalledWith(
      expect.stringContaining('checked with another policy'),
      expect.anything(),
    )

    const answerWith = async (rule: object) => {
      const app = new Hono()
        .use(ajwt(ownPolicy))
        .get(url, requireIntent(rule), (context: Context) => context.text('ok'))
      return (await app.request(url, { headers: issuer.headers({ url, scope: 'orders:read' }) })).status
    }
    expect([await answerWith(ownRules.read), await answerWith(ownRules.admin)]).toEqual([200, 403])
    expect(() => requireIntent({ scope: 'orders:read' })).toThrow(/is not checked: pass a rule/)
    expect(await answerWith(otherRules.read)).toBe(503)
  })
})
