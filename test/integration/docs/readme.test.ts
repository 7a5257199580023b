import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { denials } from '../../../src/index.js'
import { ruleSchema, schema } from '../../../src/policy/schema.js'

const readme = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8')

/** The first cells of the table under a heading. */
function rowsUnder(heading: string): string[][] {
  const section = readme.split(/^#+ /m).find((text) => text.startsWith(`${heading}\n`)) ?? ''
  return section
    .split('\n')
    .filter((line) => line.startsWith('|') && !line.startsWith('|---'))
    .slice(1)
    .map((line) => line.slice(2, -2).split(' | '))
}

describe('README', () => {
  it('lists every denial, as it is in the code', () => {
    const rows = Object.entries(denials).map(([code, { status, error, description }]) => [
      `\`${code}\``,
      String(status),
      error === undefined ? 'none' : `\`${error}\``,
      description,
    ])
    expect(rowsUnder('Denials')).toEqual(rows)
  })

  it('names every key of a policy, and of a rule', () => {
    const keysIn = (heading: string) => rowsUnder(heading).map(([key = '']) => key.replaceAll('`', ''))
    expect(keysIn('The policy').sort()).toEqual(Object.keys(schema.shape).sort())
    expect(keysIn('The rule of a route').sort()).toEqual(Object.keys(ruleSchema.shape).sort())
  })

  it('quotes the benchmarks as their results have it', () => {
    const results = readFileSync(new URL('../../../bench/results.md', import.meta.url), 'utf8')
    const section = readme.split(/^#+ /m).find((text) => text.startsWith('What it costs\n')) ?? ''
    const figures = [...section.matchAll(/(\d+\.\d+) times/g)].map(([, figure]) => figure as string)
    expect(figures.length).toBeGreaterThanOrEqual(12)
    for (const figure of figures) {
      expect(results.includes(`${figure} times`) || results.includes(`(${figure})`), figure).toBe(true)
    }
  })

  it('states the defaults that the code has', () => {
    const text = readme.replaceAll(/\s+/g, ' ')
    for (const said of [
      'by default 128 MiB, 32 MiB and 8 MiB',
      '`keys.maxAge` (300 s)',
      '`keys.cooldown` (30 s)',
      '`keys.maxStale` (3600 s)',
    ]) {
      expect(text).toContain(said)
    }
  })
})
