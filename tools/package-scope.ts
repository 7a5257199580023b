import { readFileSync, writeFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

/**
 * `package-scope.ts FOLDER [commonjs]` writes the package.json of a folder of compiled code. Its `imports`
 * refer to the compiled files in the folder. Those in the root refer to the sources, for the tests.
 */

const [folder = 'dist', type = 'module'] = process.argv.slice(2)
const root = fileURLToPath(new URL('..', import.meta.url))

interface Manifest {
  readonly imports: Readonly<Record<string, Readonly<Record<string, string>>>>
}

const { imports } = JSON.parse(readFileSync(resolve(root, 'package.json'), 'utf8')) as Manifest
const compiled = JSON.parse(JSON.stringify(imports).replaceAll('.ts"', '.js"'))
const scope = { type, sideEffects: false, imports: compiled }
writeFileSync(resolve(root, folder, 'package.json'), `${JSON.stringify(scope, null, 2)}\n`)
