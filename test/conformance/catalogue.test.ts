import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { catalogue } from '../../fixtures/conformance/catalogue.js'
import { rows } from '../../fixtures/conformance/index.js'

const tests = new URL('..', import.meta.url)
const sources = readdirSync(tests, { recursive: true, encoding: 'utf8' })
  .filter((file) => !file.includes('node_modules/'))
  .filter((file) => file.endsWith('.test.ts') || file.startsWith('support/conformance/'))
  .filter((file) => file.endsWith('.ts'))
  .map((file) => readFileSync(new URL(file, tests), 'utf8'))

const ofRows = rows.map((row) => row.id.replace(/\/.*/, ''))
const ofTests = sources.flatMap((source) => source.match(/(?<=['"`])[ACX]\d{3}\b/g) ?? [])
const used = new Set([...ofRows, ...ofTests])

describe('the catalogue of ids', () => {
  test('has a line for the id of every row and every test', () => {
    expect([...used].filter((id) => !Object.hasOwn(catalogue, id))).toEqual([])
  })

  test('has no line for an id that no row and no test has', () => {
    expect(Object.keys(catalogue).filter((id) => !used.has(id))).toEqual([])
  })

  test.each(Object.entries(catalogue))('says in one line what %s stands for', (_id, line) => {
    expect(line).toMatch(/^\S.{8,98}\S$/)
    expect(line).not.toMatch(/[\u2018-\u2020\u1d5b]/)
  })
})
