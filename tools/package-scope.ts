import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/**
 * Writes the package.json of a folder of compiled code: `package-scope.ts FOLDER [commonjs]`. The `imports` of the root
 * name sources, for the tests. A folder with a package.json of its own resolves `#runtime` to its own files.
 */

const [folder = 'dist', type = 'module'] = process.argv.slice(2)
const root = fileURLToPath(new URL('..', import.meta.url))

interface Manifest {
  readonly imports: Readonly<Record<string, Readonly<Record<string, string>>>>
}

const { imports } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest
const compiled = JSON.parse(JSON.stringify(imports).replaceAll('.ts"', '.js"'))
const scope = { type, sideEffects: false, imports: compiled }
writeFileSync(join(root, folder, 'package.json'), `${JSON.stringify(scope, null, 2)}\n`)
