import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type BuiltCommand, buildCommand } from '../../support/cli/command.js'

let command: BuiltCommand
beforeAll(() => {
  command = buildCommand()
}, 60_000)
afterAll(() => command.remove())

const color = new RegExp(`${String.fromCharCode(27)}\\[\\d+m`)

describe('ajwt demo', () => {
  it('denies every attack, each in a line of its own with a number', async () => {
    const { status, stdout, stderr } = await command.spawn(['demo'])
    expect([status, stderr]).toEqual([0, ''])
    const rows = stdout.split('\n').filter((line) => /^(ok|!!) /.test(line))
    expect(rows.length).toBeGreaterThan(40)
    expect(rows.map((row) => row.slice(2, 6).trim())).toEqual(rows.map((_, index) => `${index + 1}`))
    expect(rows[0]).toMatch(/^ok {3}1 {2}the honest request +200$/)
    for (const row of rows.slice(1)) expect(row).toMatch(/^ok .* (400|401|403) [a-z_]+$/)
    expect(stdout).toContain(`${rows.length} of ${rows.length} as expected`)
    expect(stdout.split('\n').filter((line) => line.length > 80)).toEqual([])
    expect(stdout).not.toMatch(color)
  })

  it('shows the rows while it runs', async () => {
    const { stdout } = await command.spawn(['demo'], { env: { FORCE_COLOR: '1' } })
    expect(stdout).toMatch(color)
    expect(stdout.indexOf('the honest request')).toBeLessThan(stdout.indexOf('as expected'))
  })

  it('explains a row by its number or a part of its name, and shows the denials by stage', async () => {
    const flags = ['--explain', '1', '--explain', 'stolen token without a proof', '--trace']
    const { status, stdout } = await command.run(['demo', ...flags])
    expect(status).toBe(0)
    expect(stdout).toMatch(/^1: the honest request\nALLOWED$/m)
    expect(stdout).toMatch(/^\d+: a stolen token without a proof\nDENIED 401 proof_missing$/m)
    const count = Number(/^(\d+) denials, by the stage/m.exec(stdout)?.[1])
    expect(count).toBeGreaterThan(40)
    expect(stdout.match(/^[├└]─ /gm)).toHaveLength(count)
    expect(stdout).toMatch(/^proof\n[├└]─ proof_required +\d+ µs, agent refund-agent, /m)
    expect(stdout).not.toMatch(/eyJ/)
  })

  it('knows no other row', async () => {
    const { status, stderr } = await command.run(['demo', '--explain', '700'])
    expect([status, stderr]).toEqual([2, expect.stringContaining('--explain 700: there is no such row')])
  })
})
