import { readFileSync } from 'node:fs'
import Module from 'node:module'
import type { Modules } from './modules.js'

/** The parts of Node's CommonJS loader that it documents for instrumentation only by use. */
interface ModuleInternals {
  prototype: { _compile(this: object, content: string, file: string, ...rest: unknown[]): unknown }
  _extensions: Record<string, (module: { exports: unknown }, file: string) => void>
}

/** Records CommonJS modules, JSON files and addons, with the content that is executed. */
export function recordCommonJs(modules: Modules): void {
  const internals = Module as unknown as ModuleInternals
  const { _compile: compile } = internals.prototype
  internals.prototype._compile = function (content, file, ...rest) {
    modules.record(file, content)
    return Reflect.apply(compile, this, [content, file, ...rest])
  }
  const { _extensions: extensions } = internals
  extensions['.json'] = (module, file) => {
    const content = readFileSync(file, 'utf8')
    modules.record(file, content)
    try {
      module.exports = JSON.parse(content.replace(/^\uFEFF/, ''))
    } catch (error) {
      throw new SyntaxError(`${file}: ${error instanceof Error ? error.message : error}`)
    }
  }
  const loadAddon = extensions['.node']
  extensions['.node'] = (module, file) => {
    modules.record(file, readFileSync(file))
    loadAddon?.(module, file)
  }
}
