import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Policy } from '../../../src/index.js'
import { type BuiltCommand, buildCommand } from '../../support/cli/command.js'
import { base, pairs } from '../../support/cli/policy-pairs.js'

let command: BuiltCommand
beforeAll(() => {
  command = buildCommand()
}, 60_000)
afterAll(() => command.remove())

interface Change {
  readonly effect: string
  readonly request: string
  readonly by: string
  readonly before: { readonly verdict: string; readonly key?: string }
  readonly after: { readonly verdict: string; readonly key?: string }
}

let files = 0
async function diff(before: Policy, after: Policy): Promise<{ status: number | null; changes: Change[] }> {
  files += 1
  const paths = [command.write(`old-${files}.json`, before), command.write(`new-${files}.json`, after)]
  const { status, stdout, stderr } = await command.run(['diff', ...paths, '--json'])
  expect(stderr).toBe('')
  return { status, changes: JSON.parse(stdout) as Change[] }
}

describe('ajwt diff', () => {
  it.concurrent.each(pairs)(
    '%s: weaker one way, stricter the other',
    async (_, strict, weak, by) => {
      const { status, changes } = await diff(strict, weak)
      expect([status, changes.some(({ effect }) => effect === 'weaker')]).toEqual([1, true])
      const told = changes.filter(({ effect }) => effect === 'weaker').map((change) => change.by)
      expect(
        told.some((text) => (typeof by === 'string' ? text.includes(by) : by.test(text))),
        told.join('\n'),
      ).toBe(true)
      const back = await diff(weak, strict)
      expect(back.changes.some(({ effect }) => effect === 'stricter')).toBe(true)
      if (!changes.some(({ effect }) => effect === 'stricter')) expect(back.status).toBe(0)
    },
    60_000,
  )

  it('finds nothing between a policy and itself, nor between two spellings of it', async () => {
    for (const [, strict, weak] of pairs) expect(strict).not.toEqual(weak)
    expect(await diff(base, base)).toEqual({ status: 0, changes: [] })
    const { 'GET /health': health, ...routes } = base.routes as Record<
      string,
      Policy['routes'][`GET /${string}`]
    >
    const other = {
      ...base,
      token: { maxLifetime: 300 },
      routes: { 'GET /health': health, ...routes },
    } as Policy
    expect(await diff(base, other)).toEqual({ status: 0, changes: [] })
  }, 60_000)

  it('names the key of each policy beside each example', async () => {
    const routes = { 'GET /a/:id': { scope: 'a' }, 'GET /a/b': { scope: 'b' } } as const
    const { changes } = await diff({ ...base, routes }, { ...base, routes: { 'GET /a/:id': { scope: 'a' } } })
    expect(changes).toContainEqual({
      effect: 'weaker',
      request: 'GET /a/b',
      by: 'with a token that meets the new rule',
      before: { verdict: 'scope_insufficient', key: 'GET /a/b' },
      after: { verdict: 'allow', key: 'GET /a/:id' },
    })
    const files = [
      command.write('old.json', { ...base, routes }),
      command.write('new.json', { ...base, routes: { 'GET /a/:id': { scope: 'a' } } }),
    ]
    const { status, stdout, stderr } = await command.spawn(['diff', ...files])
    expect(status).toBe(1)
    expect(stdout).toContain('old: denied, scope_insufficient, by "GET /a/b"')
    expect(stdout).toContain('new: allow, by "GET /a/:id"')
    expect(stderr).toMatch(/example requests are let through that were denied/)
  }, 60_000)

  it('refuses what is no policy', async () => {
    const wrong = command.write('wrong.json', { ...base, audience: undefined })
    const { status, stderr } = await command.run(['diff', command.write('right.json', base), wrong])
    expect([status, stderr]).toEqual([2, expect.stringContaining('audience: is missing')])
  })
})
