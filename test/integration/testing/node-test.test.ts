import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('../../..', import.meta.url))

/** The output and the exit code of a real `node --test`. */
function run(env: Record<string, string>): Promise<{ code: number; output: string }> {
  const flags = ['--import', 'tsx', '--test', '--test-reporter', 'tap', 'test/support/runner/orders.node.ts']
  // A runner that finds itself inside another one's child would report to that one instead.
  const { NODE_TEST_CONTEXT: _, ...own } = process.env
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      flags,
      { cwd: root, env: { ...own, ...env } },
      (_error, output) => {
        resolve({ code: child.exitCode ?? -1, output })
      },
    )
  })
}

describe('under node:test', () => {
  it('passes for a protected app', async () => {
    const { code, output } = await run({})
    expect(output).toMatch(/# pass 2\n# fail 0/)
    expect(code).toBe(0)
  })

  it('fails for one without protection', async () => {
    const { code, output } = await run({ UNPROTECTED: 'true' })
    expect(output).toMatch(/# pass 0\n# fail 2/)
    expect(code).toBe(1)
  })
})
