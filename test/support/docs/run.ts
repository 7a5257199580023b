import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import manifest from '../../../package.json' with { type: 'json' }
import { type Block, root } from './markdown.js'

/** The code around a block, and a check of its behavior. */
export interface Example {
  /** Code before the block: imports and values that the text has introduced. */
  readonly before?: string
  /** Code after the block, such as `export { app }`. */
  readonly after?: string
  /** Checks that the running example does what the text says. */
  readonly check?: (exports: Record<string, unknown>) => unknown
  /** Replaces text of the block, for example by the URL of a test server: `[from, to]`. */
  readonly replace?: readonly [from: string, to: string]
  /** Runs only if a Redis server can be started. */
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

/** Runs and compiles blocks in a folder of the repository, so that packages and sources are found. */
export interface BlockRunner {
  /** Imports the block with the code of its example around it. */
  run(block: Block, example: Example | undefined): Promise<Record<string, unknown>>
  /** The compiler errors in these blocks, each with the position of its block. */
  typeCheck(blocks: readonly (readonly [Block, Example | undefined])[]): string[]
  remove(): void
}

/** `beside`: a folder of the repository whose packages the blocks import, such as `test/mcp`. */
export function createBlockRunner(beside = ''): BlockRunner {
  const folder = mkdtempSync(join(root, beside, '.docs-'))
  const toRoot = relative(folder, root)

  function write(block: Block, { before = '', after = '', replace }: Example = {}): string {
    const code = replace === undefined ? block.code : block.code.replaceAll(...replace)
    // `export {}` makes every block a module, so that blocks do not share names.
    const text = `${before}\n${code}\n${after}\nexport {}\n`.replaceAll(
      /from '(ajwt(?:\/[a-z-]+)?)'/g,
      (whole, name: string) => (entries[name] === undefined ? whole : `from '${toRoot}/${entries[name]}'`),
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
        // Blocks have functions without parameter types.
        noImplicitAny: false,
        noUncheckedIndexedAccess: false,
        exactOptionalPropertyTypes: false,
        verbatimModuleSyntax: false,
        typeRoots: [`${toRoot}/node_modules/@types`],
      }
      const project = { extends: `${toRoot}/tsconfig.json`, compilerOptions, include: ['*.ts'], exclude: [] }
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
