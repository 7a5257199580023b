import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { type Results, readResults } from './results.js'

/**
 * `npm run figures` lists the figures of the documentation that are not in the results of the benchmarks. Run
 * it after `npm run bench`.
 */

const root = fileURLToPath(new URL('../..', import.meta.url))

/** The documents whose times and ratios come from the benchmarks, as paths from the root. */
export const measured: readonly string[] = [
  'README.md',
  'docs/performance.md',
  ...readdirSync(`${root}/docs/adr`).map((name) => `docs/adr/${name}`),
]

export interface Figure {
  readonly line: number
  readonly figure: string
  /** The files that should have it. */
  readonly files: readonly string[]
}

/**
 * The times and ratios that are in no file that their section cites, such as `bench/results-intel-xeon.md`. A
 * section that cites none may use every file. A cell of a table is compared with the results of the
 * processor with which the head of its column starts.
 */
export function unsupportedFigures(text: string, all: readonly Results[]): Figure[] {
  let before = 0
  return text.split(/^(?=## )/m).flatMap((section) => {
    const first = before + 1
    before += section.split('\n').length - 1
    const named = all.filter(({ file }) => section.includes(`bench/${file}`))
    return passagesOf(section, all, named.length === 0 ? all : named).flatMap(({ line, passage, results }) =>
      figuresIn(passage)
        .filter((figure) => !results.some(({ text: found }) => has(found, figure)))
        .map((figure) => ({ line: first + line, figure, files: results.map(({ file }) => file) })),
    )
  })
}

interface Passage {
  /** From 0, in the section. */
  readonly line: number
  readonly passage: string
  /** Those that the passage may quote. */
  readonly results: readonly Results[]
}

/** Lines of prose, and cells of tables. */
function passagesOf(section: string, all: readonly Results[], cited: readonly Results[]): Passage[] {
  let head: readonly string[] | undefined
  return section.split('\n').flatMap((text, line) => {
    if (!text.startsWith('|')) {
      head = undefined
      return [{ line, passage: text, results: cited }]
    }
    const cells = text.split('|').map((cell) => cell.trim())
    head ??= cells
    const titles = head
    return cells.map((passage, at) => {
      const own = all.filter(({ processor }) => titles[at]?.startsWith(processor))
      return { line, passage, results: own.length === 0 ? cited : own }
    })
  })
}

function figuresIn(text: string): string[] {
  return [...text.matchAll(/\d[\d.,]* µs|\d+\.\d+ times/g)].map(([figure]) => figure)
}

function has(results: string, figure: string): boolean {
  const value = figure.replace(/ .*/, '')
  // Not the end of a longer number.
  const forms = figure.endsWith('µs') ? [figure] : [figure, `(${value})`, `| ${value} |`]
  return forms.some((form) => new RegExp(`(?<![\\d.,])${form.replaceAll(/[.()|]/g, '\\$&')}`).test(results))
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  for (const file of measured) {
    for (const { line, figure, files } of unsupportedFigures(
      readFileSync(`${root}/${file}`, 'utf8'),
      readResults(),
    )) {
      console.log(`${file}:${line}: ${figure} is not in ${files.join(' or ')}`)
      process.exitCode = 1
    }
  }
}
