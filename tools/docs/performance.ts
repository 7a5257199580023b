import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { type Results, readResults, type Table } from './results.js'

/**
 * Writes the tables of docs/performance.md that stand between `<!-- results: NAME -->` and `<!-- end -->`,
 * from the results of every processor.
 */

const target = fileURLToPath(new URL('../../docs/performance.md', import.meta.url))

const requests: readonly (readonly [shown: string, row: string])[] = [
  ['one signature check, for comparison', 'one `crypto.verify`'],
  ['known token, known key', 'warm: known token, known key'],
  ['the same with a chain of three hops', 'warm, with a chain of three hops'],
  ['new token of a known agent', 'a token never seen, of a known agent'],
  ['new agent with a new token', 'a new agent with a new token'],
]

const algorithms = ['ES256', 'EdDSA', 'RS256', 'PS256']

/** Requests a second of the table of capacity. */
const rate = 10_000

/** The text of the table, by name. */
const tables: Readonly<Record<string, (all: readonly Results[]) => string>> = {
  request: (all) =>
    markdown(
      ['request', ...having(all, 'ES256').map(({ processor }) => processor)],
      requests.map(([shown, row]) => [
        shown,
        ...having(all, 'ES256').map((results) => requestCell(results.table('ES256'), row)),
      ]),
    ),
  others: (all) => {
    const measured = having(all, 'ES256, compared')
    const names = measured.at(-1)?.table('ES256, compared')?.rows.slice(1) ?? []
    return markdown(
      ['library', ...measured.flatMap(({ processor }) => [`${processor}, one at a time`, '32 at a time'])],
      names.map(([name = '']) => [
        name,
        ...measured.flatMap((results) => {
          const row = results.table('ES256, compared')?.rows.find(([other]) => other === name)
          return [row?.[2] ?? '', row?.[4] ?? '']
        }),
      ]),
    )
  },
  algorithms: (all) => {
    const columns = ['one verification', 'known token', 'new agent']
    const rows = [requests[0], requests[1], requests[4]].map((request) => request?.[1] ?? '')
    return markdown(
      ['algorithm', ...all.flatMap(({ processor }) => columns.map((column) => `${processor}, ${column}`))],
      algorithms.map((name) => [
        name,
        ...all.flatMap((results) => rows.map((row) => cellOf(results.table(name), row, 'time'))),
      ]),
    )
  },
  releases: (all) =>
    having(all, 'The least times of the requests above')
      .map((results) => {
        const { head, rows } = results.table('The least times of the requests above') as Table
        return markdown([results.processor, ...head.slice(1)], rows)
      })
      .join('\n'),
  capacity: (all) =>
    markdown(
      [`${rate.toLocaleString('en')} requests a second`, ...all.map(({ processor }) => processor)],
      [
        ...algorithms.map((name) => [
          `\`verifier.verify\`, ${name}`,
          ...all.map((results) => cores(cellOf(results.table(name), 'warm: known token, known key', 'time'))),
        ]),
        ...['Express', 'Koa', 'Hono', 'Fastify'].flatMap((framework) =>
          ['unprotected', 'ajwt'].map((guard) => [
            `${framework}, ${guard}`,
            ...all.map((results) =>
              cores(cellOf(results.table('32 connections'), `${framework}, ${guard}`, 'CPU')),
            ),
          ]),
        ),
      ],
    ),
}

function having(all: readonly Results[], title: string): Results[] {
  return all.filter((results) => results.table(title) !== undefined)
}

/** Empty where the table, the row or the column is missing. */
function cellOf(table: Table | undefined, row: string, column: string): string {
  const at = table?.head.indexOf(column) ?? -1
  return table?.rows.find(([name]) => name === row)?.[at] ?? ''
}

function requestCell(table: Table | undefined, row: string): string {
  const overhead = cellOf(table, row, 'overhead')
  const parts = [cellOf(table, row, 'time'), cellOf(table, row, 'compared')]
  return [...parts, overhead && `least overhead ${overhead}`].filter(Boolean).join(', ')
}

/** Cores that are busy at the rate. */
function cores(micros: string): string {
  const value = Number.parseFloat(micros.replaceAll(',', ''))
  return Number.isNaN(value) ? '' : `${((value * rate) / 1e6).toFixed(1)} cores`
}

/** Without the rows and columns that have no value. */
function markdown(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const filled = rows.filter(([, ...cells]) => cells.some(Boolean))
  const columns = head.map((_, at) => at).filter((at) => at === 0 || filled.some((row) => row[at]))
  const line = (cells: readonly string[]) => `| ${columns.map((at) => cells[at]).join(' | ')} |\n`
  return `${line(head)}|${'---|'.repeat(columns.length)}\n${filled.map(line).join('')}`
}

/** The document with the tables as they should be. */
export function withTables(document: string, all: readonly Results[] = readResults()): string {
  return document.replaceAll(/(<!-- results: (\w+) -->\n\n).*?(\n?<!-- end -->)/gs, (_, start, name, end) => {
    const render = tables[name]
    if (render === undefined) throw new Error(`docs/performance.md asks for an unknown table "${name}"`)
    return `${start}${render(all)}${end}`
  })
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  writeFileSync(target, withTables(readFileSync(target, 'utf8')))
}
