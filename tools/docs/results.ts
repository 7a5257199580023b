import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** A table of results. The first column has the name of the row. */
export interface Table {
  readonly head: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

/** The results of `npm run bench` on one processor. */
export interface Results {
  /** Such as `results-intel-xeon.md`. */
  readonly file: string
  readonly processor: string
  readonly text: string
  /** The table below a line that starts with this text. */
  table(title: string): Table | undefined
}

const folder = fileURLToPath(new URL('../../bench', import.meta.url))

/** The results of every processor, in the order of the names of the files. */
export function readResults(): Results[] {
  const files = readdirSync(folder).filter((name) => /^results-.+\.md$/.test(name))
  return files.sort().map((file) => parseResults(file, readFileSync(`${folder}/${file}`, 'utf8')))
}

export function parseResults(file: string, text: string): Results {
  const [, processor = file] = /^# .* on (.+)$/m.exec(text) ?? []
  const tables = new Map<string, Table>()
  let title = ''
  for (const block of text.split(/\n{2,}/)) {
    const [head, , ...rows] = block.split('\n').map(cellsOf)
    if (head === undefined) title = block.replaceAll(/^[#* ]+|\*+$/g, '')
    else tables.set(title, { head, rows: rows.filter((row) => row !== undefined) })
  }
  const table = (wanted: string) => [...tables].find(([name]) => name.startsWith(wanted))?.[1]
  return { file, processor, text, table }
}

/** Undefined for a line that is no row of a table. */
function cellsOf(line: string): string[] | undefined {
  return line.startsWith('| ') ? line.slice(2, -2).split(' | ') : undefined
}
