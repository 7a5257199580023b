import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { atTheGrant } from '../../../fixtures/demo/attacks/at-the-grant.js'
import { atTheRegistry } from '../../../fixtures/demo/attacks/at-the-registry.js'
import { onTheProof } from '../../../fixtures/demo/attacks/on-the-proof.js'
import { onTheRights } from '../../../fixtures/demo/attacks/on-the-rights.js'
import { onTheTeam } from '../../../fixtures/demo/attacks/on-the-team.js'
import { onTheToken } from '../../../fixtures/demo/attacks/on-the-token.js'
import { honest } from '../../../fixtures/demo/honest.js'
import { registered } from '../../../fixtures/demo/registered.js'
import { play, type Scene } from '../../../fixtures/demo/scene.js'
import { throughTheShim } from '../../../fixtures/demo/shim.js'
import { formatTable } from '../../../fixtures/demo/table.js'
import { teamwork } from '../../../fixtures/demo/team.js'
import type { World } from '../../../fixtures/demo/world.js'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const hasCurl = spawnSync('curl', ['--version']).status === 0

const startDemo = (...flags: string[]) =>
  spawn(process.execPath, ['--import', 'tsx', 'fixtures/demo/main.ts', ...flags], { cwd: root })

const lineOf = (output: string, { tried }: Scene) =>
  output.split('\n').find((line) => line.includes(`  ${tried}  `))

describe('the demo', () => {
  it('shows each attack refused with its code, and exits with 0', async () => {
    const demo = startDemo()
    const [output, errors] = [collect(demo, 'stdout'), collect(demo, 'stderr')]
    const [code] = await once(demo, 'close')
    expect(output(), errors()).toContain('as expected.')
    const groups = [
      honest,
      onTheProof,
      onTheToken,
      onTheRights,
      atTheGrant,
      registered,
      atTheRegistry,
      teamwork,
      onTheTeam,
      throughTheShim,
    ]
    for (const scene of groups.flat()) {
      const [status, denial] = scene.expected
      const refusal = status === 0 ? 'stop' : `deny ${status}`
      const verdict = denial === undefined ? `allow ${status}` : `${refusal} ${denial}`
      expect(lineOf(output(), scene), scene.tried).toMatch(new RegExp(`^ok .* {2}${verdict} `))
    }
    expect(errors()).toBe('')
    expect(code).toBe(0)
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

describe('its table', () => {
  const world = { orders: { handled: () => ran }, payment: { handled: () => 0 } } as unknown as World
  let ran = 0
  const scene = (over: Partial<Scene>): Scene => ({
    tried: 'something',
    expected: [401, 'proof_missing'],
    play: async () => ({ status: 401, code: 'proof_missing', body: '', microseconds: 7 }),
    ...over,
  })
  const judged = async (over: Partial<Scene>) => {
    const results = await play([scene(over)], world)
    return { right: results.every(({ asExpected }) => asExpected), table: formatTable(results) }
  }

  it('calls a line right only where status, code and the silence of the handlers all are', async () => {
    expect(await judged({})).toMatchObject({ right: true, table: expect.stringContaining('ok  something') })
    const otherCode = { status: 401, code: 'proof_stale', body: '', microseconds: 7 }
    const otherStatus = { status: 403, code: 'proof_missing', body: '', microseconds: 7 }
    for (const answer of [otherCode, otherStatus]) {
      expect((await judged({ play: async () => answer })).right).toBe(false)
    }
    const leaky = scene({}).play
    const leak = await judged({
      play: (at) => {
        ran += 1
        return leaky(at)
      },
    })
    expect(leak).toMatchObject({ right: false, table: expect.stringContaining('yet a handler ran') })
    const broken = await judged({ play: () => Promise.reject(new Error('boom')) })
    expect(broken).toMatchObject({
      right: false,
      table: expect.stringMatching(/^!! {2}something .* failed /m),
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
    if (waited > 20_000) throw new Error('waited for too long')
    await new Promise((done) => setTimeout(done, 50))
  }
}

/** What a person sees who pastes the command into a shell. */
async function paste(command: string): Promise<string> {
  return (await promisify(execFile)('sh', ['-c', command])).stdout
}
