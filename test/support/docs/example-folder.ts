import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { manifest } from '../package/installed.js'
import { type Program, startProgram } from '../program.js'
import { root, textOf } from './markdown.js'

export interface ExampleFolder {
  /** Starts a script of an example's `package.json`, by default `start`. */
  start(example: string, env: Record<string, string>, script?: string): Program
  /** Stops all programs and removes the copies. */
  close(): void
}

/**
 * Copies examples to a folder in which `ajwt` is installed. `modules` is the folder of their other
 * dependencies, if that is not the project's own.
 */
export function copyExamples(examples: readonly string[], modules?: string): ExampleFolder {
  const folder = mkdtempSync(join(root, '.docs-'))
  const started: Program[] = []
  installSources(join(folder, 'node_modules/ajwt'))
  for (const example of examples) {
    cpSync(join(root, 'fixtures/examples', example), join(folder, example), { recursive: true })
    if (modules !== undefined) symlinkSync(modules, join(folder, example, 'node_modules'))
  }
  return {
    start(example, env, script = 'start') {
      const { scripts } = JSON.parse(textOf(`fixtures/examples/${example}/package.json`))
      const [, file = ''] = (scripts[script] as string).split(' ')
      const program = startProgram(file, join(folder, example), env)
      started.push(program)
      return program
    },
    close() {
      for (const program of started) program.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Installs the package like `npm install ajwt`, with the sources as entries. */
function installSources(target: string): void {
  mkdirSync(target, { recursive: true })
  const exports: Record<string, string> = {}
  for (const [entry, conditions] of Object.entries<string | { import: { default: string } }>(
    manifest.exports,
  )) {
    if (typeof conditions === 'string') continue
    const source = conditions.import.default.replace('./dist/', '').replace(/\.js$/, '.ts')
    const name = `${entry.replace('./', '').replace('.', 'core').replaceAll('/', '-')}.js`
    writeFileSync(join(target, name), `export * from '${pathToFileURL(join(root, source))}'\n`)
    exports[entry] = `./${name}`
  }
  writeFileSync(join(target, 'package.json'), JSON.stringify({ name: 'ajwt', type: 'module', exports }))
}
