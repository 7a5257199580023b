import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { rolldown } from 'rolldown'

/**
 * Writes `dist/cjs` from the ES modules in `dist`: every entry for `require()`, because jest by default can
 * load nothing else. Dependencies that are only ES modules are bundled, all others stay dependencies.
 */

const root = fileURLToPath(new URL('..', import.meta.url))
const dist = join(root, 'dist')
const folder = join(dist, 'cjs')

/** Dependencies without a `require` condition, with their license files. */
const bundled = { jose: 'LICENSE.md', canonicalize: 'LICENSE', '@noble/hashes': 'LICENSE' }

interface Manifest {
  readonly imports: Readonly<Record<string, Readonly<Record<string, string>>>>
  readonly exports: Readonly<Record<string, string | { readonly import: { readonly default: string } }>>
}

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest
const entries = Object.values(manifest.exports).flatMap((entry) =>
  typeof entry === 'string' ? [] : [entry.import.default.replace(/^\.\/dist\/|\.js$/g, '')],
)

/** The targets of `imports`. The runtime determines which of them is loaded. */
const backends = Object.values(manifest.imports).flatMap((conditions) =>
  Object.values(conditions).map((file) => file.replace(/^\.\/|\.ts$/g, '')),
)

/** A module that Node runs in a thread, by its file name. */
const threads = ['src/agent/loader/load-hook']

const bundle = await rolldown({
  cwd: root,
  platform: 'node',
  input: Object.fromEntries([...entries, ...backends, ...threads].map((name) => [name, `./dist/${name}.js`])),
  external: (id) =>
    /^[^./]/.test(id) && !Object.keys(bundled).some((name) => `${id}/`.startsWith(`${name}/`)),
  onLog(level, { message }) {
    if (level !== 'debug') throw new Error(`dist/cjs: ${message}`)
  },
})
await bundle.write({
  dir: folder,
  format: 'cjs',
  entryFileNames: '[name].js',
  chunkFileNames: 'shared/[name].js',
  comments: { legal: true, annotation: false, jsdoc: false },
  codeSplitting: {
    groups: Object.keys(bundled).map((name) => ({
      name: fileNameOf(name),
      test: new RegExp(`/node_modules/${name}/`),
    })),
  },
})

for (const [name, license] of Object.entries(bundled)) {
  const file = join(folder, `shared/${fileNameOf(name)}.js`)
  const text = readFileSync(join(root, 'node_modules', name, license), 'utf8').replaceAll('*/', '* /')
  writeFileSync(file, `/*!\n${name}\n\n${text.trim()}\n*/\n${readFileSync(file, 'utf8')}`)
}

function fileNameOf(name: string): string {
  return name.replace('@', '').replace('/', '-')
}

/** A type import from an ES module. In CommonJS, TypeScript allows it only with `resolution-mode`. */
const importOfEsm = /^import (?:type )?(.+) from '((?:jose|oidc-provider)(?:\/[^']+)?)';$/gm

/** Copies a declaration file and, recursively, the declaration files that it imports. */
function copyDeclarations(file: string): void {
  if (existsSync(join(folder, file))) return
  const text = readFileSync(join(dist, file), 'utf8').replace(
    importOfEsm,
    (_, names: string, from: string) =>
      `import type ${names.replace(/\btype /g, '')} from '${from}' with { 'resolution-mode': 'import' };`,
  )
  mkdirSync(dirname(join(folder, file)), { recursive: true })
  writeFileSync(join(folder, file), text)
  for (const [, from = ''] of text.matchAll(/(?:from |import\()['"](\.[^'"]+)\.js['"]/g)) {
    copyDeclarations(join(dirname(file), `${from}.d.ts`))
  }
}

for (const name of entries) copyDeclarations(`${name}.d.ts`)
