import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import manifest from '../../../package.json' with { type: 'json' }
import { type Block, root } from './markdown.js'

/** What an example takes for granted, and what is seen of it from outside. */
export interface Example {
  /** Code in front of the block: imports and values that the text around it has introduced. */
  readonly before?: string
  /** Code behind the block, such as `export { app }`. */
  readonly after?: string
  /** Asks the running example what the text says of it. Its throw fails the test. */
  readonly check?: (exports: Record<string, unknown>) => unknown
  /** Text of the block that stands for a server of the test: `[from, to]`. */
  readonly replace?: readonly [from: string, to: string]
  /** Runs only where a Redis server can be started. */
  readonly needsRedis?: true
}

/** The source of each entry of the package, by name. */
const entries: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(manifest.exports).flatMap(([name, entry]) =>
    typeof entry === 'string'
      ? []
      : [[name.replace(/^\./, 'ajwt'), entry.import.default.replace('./dist/', '')]],
  ),
)

/** A folder of the repository's, so that packages and sources are found from it. */
export interface Workshop {
  /** Imports the block, with what its example puts around it. */
  run(block: Block, example: Example | undefined): Promise<Record<string, unknown>>
  /** The complaints of the compiler about all of these blocks, each with the place of its block. */
  typeCheck(blocks: readonly (readonly [Block, Example | undefined])[]): string[]
  remove(): void
}

export function openWorkshop(): Workshop {
  const folder = mkdtempSync(join(root, '.docs-'))

  function write(block: Block, { before = '', after = '', replace }: Example = {}): string {
    const code = replace === undefined ? block.code : block.code.replaceAll(...replace)
    // A module even where nothing is imported, so that names of two blocks are two names.
    const text = `${before}\n${code}\n${after}\nexport {}\n`.replaceAll(
      /from '(ajwt(?:\/[a-z-]+)?)'/g,
      (whole, name: string) => (entries[name] === undefined ? whole : `from '../${entries[name]}'`),
    )
    const name = `${block.file.replaceAll(/[^a-z]+/gi, '-')}-${block.line}.ts`
    writeFileSync(join(folder, name), text)
    return name
  }

  return {
    run: async (block, example) => import(/* @vite-ignore */ join(folder, write(block, example))),
    typeCheck(blocks) {
      const places = new Map(
        blocks.map(([block, example]) => [write(block, example), `${block.file}:${block.line}`]),
      )
      const compilerOptions = {
        // A block shows a function without the types of its parameters.
        noImplicitAny: false,
        noUncheckedIndexedAccess: false,
        exactOptionalPropertyTypes: false,
        verbatimModuleSyntax: false,
      }
      const project = { extends: '../tsconfig.json', compilerOptions, include: ['*.ts'] }
      writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(project))
      return compile(folder)
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => {
          const name = [...places.keys()].find((file) => line.includes(file))
          return name === undefined ? line : `${places.get(name)}: ${line}`
        })
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}

function compile(folder: string): string {
  try {
    execFileSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', folder], {
      encoding: 'utf8',
      stdio: 'pipe',
    })
    return ''
  } catch (error) {
    return String((error as { stdout?: unknown }).stdout)
  }
}
