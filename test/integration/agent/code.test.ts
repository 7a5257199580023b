import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { startApi } from '../../support/agent/api.js'
import { startIssuer } from '../../support/agent/authorization-server.js'
import { type BuiltCommand, buildCommand } from '../../support/cli/command.js'

const execute = promisify(execFile)

/** A program with an agent that makes one request, with ES modules, CommonJS and JSON. */
const program = (agentEntry: string, issuer: string, orders: string) => ({
  'main.mjs': `
    import { createAgentClient, defineAgent } from '${agentEntry}'
    import { search } from './tools.mjs'
    const agent = defineAgent({
      id: 'planner',
      prompt: 'You plan refunds.',
      tools: [{ name: 'search', description: 'Find', parameters: { type: 'object' }, execute: search }],
      code: { digest: process.env.DIGEST },
    })
    const clientAuth = { method: 'none', clientId: 'app' }
    const client = createAgentClient({ agent, tokenEndpoint: '${issuer}', clientAuth })
    if (process.env.LATE) await import('./late.mjs')
    const answer = await client.fetch('${orders}', { intent: { scope: 'orders:read' } })
    console.log('answered', answer.status)
  `,
  'tools.mjs': `
    import { find } from './find.cjs'
    import names from './names.json' with { type: 'json' }
    export const search = (id) => find(id, names)
  `,
  'find.cjs': "const limits = require('./limits.json')\nexports.find = (id) => [id, limits]",
  'names.json': '{"a":1}',
  'limits.json': '{"b":1}',
  'late.mjs': 'export const late = 1',
})

describe('an agent with code: { digest }', () => {
  let command: BuiltCommand
  let servers: { issuer: Awaited<ReturnType<typeof startIssuer>>; api: Awaited<ReturnType<typeof startApi>> }
  let digest: string

  beforeAll(async () => {
    command = buildCommand()
    const issuer = await startIssuer()
    servers = { issuer, api: await startApi(issuer) }
    writeProgram()
    digest = await printDigest()
  }, 120_000)
  afterAll(async () => {
    await servers.api.close()
    await servers.issuer.close()
    command.remove()
  })
  beforeEach(writeProgram)

  function writeProgram(): void {
    const entry = pathToFileURL(join(command.dist, 'src/agent/index.js')).href
    const files = program(entry, String(servers.issuer.tokenEndpoint), `${servers.api.origin}/orders/7`)
    for (const [name, text] of Object.entries(files)) command.write(name, text)
  }

  async function printDigest(): Promise<string> {
    const { status, stdout, stderr } = await command.spawn(['checksum', '--code', 'main.mjs'])
    expect([status, stderr]).toEqual([0, ''])
    return stdout.trim()
  }

  const loader = () => pathToFileURL(join(command.dist, 'src/agent/loader/index.js')).href

  /** Runs the program. Resolves to its output, or to the message of its error, and to what it has sent. */
  async function run(env: Record<string, string>, ...flags: string[]) {
    const requests = () => servers.issuer.requests.length + servers.api.requests.length
    const before = requests()
    const options = { cwd: command.folder, env: { ...process.env, ...env } }
    const args = flags.length > 0 ? flags : ['--import', loader()]
    const entry = flags.at(-1) === '.' ? [] : ['main.mjs']
    const output = await execute(process.execPath, [...args, ...entry], options).then(
      ({ stdout }) => stdout,
      (error: { stderr: string }) => error.stderr,
    )
    return { output, sent: requests() - before }
  }

  it('sends its request where the modules are those of the digest', async () => {
    expect(digest).toMatch(/^sha256:[0-9a-f]{64}$/)
    expect(await run({ DIGEST: digest })).toEqual({ output: 'answered 200\n', sent: 2 })
    // The digest does not depend on the folder that the command runs in.
    expect(await printDigest()).toBe(digest)
  })

  it.each([
    ['its entry', 'main.mjs'],
    ['an ES module', 'tools.mjs'],
    ['a CommonJS module', 'find.cjs'],
  ])('sends nothing after a change of %s', async (_, file) => {
    const text = readFileSync(join(command.folder, file), 'utf8')
    command.write(file, `${text}\n;globalThis.changed = true\n`)
    const { output, sent } = await run({ DIGEST: digest })
    expect(output).toMatch(/AgentIntegrityError: agent planner has changed: the loaded modules/)
    expect(sent).toBe(0)
  })

  it.each(['names.json', 'limits.json'])('sends nothing after a change of %s', async (file) => {
    command.write(file, '{"c":2}')
    const { output, sent } = await run({ DIGEST: digest })
    expect(output).toContain('AgentIntegrityError')
    expect(sent).toBe(0)
  })

  it('sends nothing after another module was loaded, and names it', async () => {
    const { output, sent } = await run({ DIGEST: digest, LATE: 'yes' })
    expect(output).toMatch(/The last ones: .*late\.mjs/)
    expect(sent).toBe(0)
  })

  it('sends nothing without the loader', async () => {
    const { output, sent } = await run({ DIGEST: digest }, '--no-warnings')
    expect(output).toContain('start Node with --import ajwt/agent/loader')
    expect(sent).toBe(0)
  })

  it('the digest covers a CommonJS module whose source comes from another hook', async () => {
    // No module of the program: it is imported before the loader.
    command.write(
      'register.mjs',
      "import { register } from 'node:module'\nregister('./hook.mjs', import.meta.url)",
    )
    const register = pathToFileURL(join(command.folder, 'register.mjs')).href
    const digestWith = async (source: string): Promise<string | undefined> => {
      command.write(
        'hook.mjs',
        `export async function load(url, context, nextLoad) {
          const loaded = await nextLoad(url, context)
          return url.endsWith('/find.cjs') ? { ...loaded, format: 'commonjs', source: ${JSON.stringify(source)} } : loaded
        }`,
      )
      const { output, sent } = await run({ DIGEST: digest }, '--import', register, '--import', loader())
      expect(sent).toBe(0)
      return /the loaded modules have the digest (sha256:[0-9a-f]{64})/.exec(output)?.[1]
    }
    const honest = await digestWith('exports.find = () => "honest"')
    expect(honest).toBeDefined()
    expect(await digestWith('exports.find = () => "stolen"')).not.toBe(honest)
  })

  it('sends its request where Node is given the folder of the entry', async () => {
    command.write('package.json', '{"main":"main.mjs"}')
    expect(await run({ DIGEST: digest }, '--import', loader(), '.')).toEqual({
      output: 'answered 200\n',
      sent: 2,
    })
  })

  it('the command sends nothing, and says why it has no digest', async () => {
    const sentBefore = servers.issuer.requests.length
    expect(await printDigest()).toBe(digest)
    expect(servers.issuer.requests.length).toBe(sentBefore)
    command.write('broken.mjs', 'throw new Error("no such database")')
    const broken = await command.spawn(['checksum', '--code', 'broken.mjs'])
    expect(broken.status).toBe(2)
    expect(broken.stderr).toMatch(/no such database[\s\S]*broken\.mjs: it ended with exit code 1/)
    expect((await command.spawn(['checksum', '--code', 'none.mjs'])).stderr).toContain(
      'none.mjs: no such file',
    )
    expect((await command.spawn(['checksum'])).status).toBe(2)
  })
})
