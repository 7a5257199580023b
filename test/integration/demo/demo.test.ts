import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { grantAttacks } from '../../../fixtures/demo/attacks/grant.js'
import { proofAttacks } from '../../../fixtures/demo/attacks/proof.js'
import { registryAttacks } from '../../../fixtures/demo/attacks/registry.js'
import { rightsAttacks } from '../../../fixtures/demo/attacks/rights.js'
import { teamAttacks } from '../../../fixtures/demo/attacks/team.js'
import { tokenAttacks } from '../../../fixtures/demo/attacks/token.js'
import type { Environment } from '../../../fixtures/demo/environment.js'
import { honestRequests } from '../../../fixtures/demo/honest.js'
import { mcpScenarios } from '../../../fixtures/demo/mcp.js'
import { registrationScenarios } from '../../../fixtures/demo/registrations.js'
import { runScenarios, type Scenario } from '../../../fixtures/demo/scenario.js'
import { shimScenarios } from '../../../fixtures/demo/shim.js'
import { formatTable } from '../../../fixtures/demo/table.js'
import { teamScenarios } from '../../../fixtures/demo/team.js'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const hasCurl = spawnSync('curl', ['--version']).status === 0

const startDemo = (...flags: string[]) =>
  spawn(process.execPath, ['--import', 'tsx', 'fixtures/demo/main.ts', ...flags], { cwd: root })

const lineOf = (output: string, { title }: Scenario) =>
  output.split('\n').find((line) => line.includes(`  ${title}  `))

describe('the demo', () => {
  it('shows each attack denied with its code, and exits with 0', async () => {
    const demo = startDemo()
    const [output, errors] = [collect(demo, 'stdout'), collect(demo, 'stderr')]
    const [code] = await once(demo, 'close')
    expect(output(), errors()).toContain('as expected.')
    const groups = [
      honestRequests,
      proofAttacks,
      tokenAttacks,
      rightsAttacks,
      grantAttacks,
      registrationScenarios,
      registryAttacks,
      teamScenarios,
      teamAttacks,
      shimScenarios,
      mcpScenarios,
    ]
    for (const scenario of groups.flat()) {
      const [status, denial] = scenario.expected
      const refusal = status === 0 ? 'stop' : `deny ${status}`
      const verdict = denial === undefined ? `allow ${status}` : `${refusal} ${denial}`
      expect(lineOf(output(), scenario), scenario.title).toMatch(new RegExp(`^ok .* {2}${verdict} `))
    }
    expect(errors()).toBe('')
    expect(code).toBe(0)
  })

  it('explains a row by its number or its title', async () => {
    const demo = startDemo('--explain', '3', '--explain', 'stolen token without a proof')
    const output = collect(demo, 'stdout')
    await once(demo, 'close')
    expect(output()).toMatch(/^3: an agent reads an order\nALLOWED$/m)
    expect(output()).toMatch(/^stolen token without a proof: .*\nDENIED 401 proof_missing$/m)
  })

  it.runIf(hasCurl)('serves commands that do as they say', async () => {
    const demo = startDemo('--serve')
    const output = collect(demo, 'stdout')
    await until(() => /^6\. .*\n.*\n/m.test(output()))
    const [
      read = '',
      refund = '',
      unscoped = '',
      stolen = '',
      signedRead = '',
      signedRefund = '',
      unapproved = '',
    ] = output()
      .split('\n')
      .filter((line) => line.startsWith('curl '))
    expect(await paste(read)).toContain('200 OK')
    expect(await paste(read)).toContain('proof_replayed')
    expect(await paste(refund)).toContain('200 OK')
    expect(await paste(unscoped)).toContain('scope_insufficient')
    expect(await paste(stolen)).toContain('proof_missing')
    for (const signed of [signedRead, signedRead, signedRefund])
      expect(await paste(signed)).toContain('200 OK')
    expect(await paste(unapproved)).toContain('user_authentication_required')
    demo.kill('SIGTERM')
    expect((await once(demo, 'close'))[0]).toBe(0)
  })
})

describe('the table of the demo', () => {
  const environment = {
    orders: { handled: () => ran },
    payment: { handled: () => 0 },
    mcp: { handled: () => 0 },
  } as unknown as Environment
  let ran = 0
  const scenario = (changes: Partial<Scenario>): Scenario => ({
    title: 'something',
    expected: [401, 'proof_missing'],
    run: async () => ({ status: 401, code: 'proof_missing', body: '', microseconds: 7 }),
    ...changes,
  })
  const outcomeOf = async (changes: Partial<Scenario>) => {
    const results = await runScenarios([scenario(changes)], environment)
    return { right: results.every(({ asExpected }) => asExpected), table: formatTable(results) }
  }

  it('marks a line as expected only if status and code are expected and no handler ran', async () => {
    expect(await outcomeOf({})).toMatchObject({
      right: true,
      table: expect.stringContaining('ok  1  something'),
    })
    const otherCode = { status: 401, code: 'proof_stale', body: '', microseconds: 7 }
    const otherStatus = { status: 403, code: 'proof_missing', body: '', microseconds: 7 }
    for (const answer of [otherCode, otherStatus]) {
      expect((await outcomeOf({ run: async () => answer })).right).toBe(false)
    }
    const leaky = scenario({}).run
    const leak = await outcomeOf({
      run: (target) => {
        ran += 1
        return leaky(target)
      },
    })
    expect(leak).toMatchObject({ right: false, table: expect.stringContaining('but a handler ran') })
    const broken = await outcomeOf({ run: () => Promise.reject(new Error('boom')) })
    expect(broken).toMatchObject({
      right: false,
      table: expect.stringMatching(/^!! {2}1 {2}something .* failed /m),
    })
  })
})

function collect(child: ChildProcess, stream: 'stdout' | 'stderr'): () => string {
  let text = ''
  child[stream]?.on('data', (chunk: Buffer) => {
    text += chunk.toString()
  })
  return () => text
}

async function until(condition: () => boolean): Promise<void> {
  for (let waited = 0; !condition(); waited += 50) {
    if (waited > 20_000) throw new Error('the condition did not become true within 20 s')
    await new Promise((done) => setTimeout(done, 50))
  }
}

/** The output of the command in a shell. */
async function paste(command: string): Promise<string> {
  return (await promisify(execFile)('sh', ['-c', command])).stdout
}
