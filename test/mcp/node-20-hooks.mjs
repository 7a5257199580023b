const SHIM = 'shim:fs'
const PARENT = /\/conformance(-next)?\/dist\//

export function resolve(specifier, context, next) {
  if (specifier !== 'fs' || !PARENT.test(context.parentURL ?? '')) return next(specifier, context)
  return { url: SHIM, shortCircuit: true }
}

export function load(url, context, next) {
  if (url !== SHIM) return next(url, context)
  const source =
    "export * from 'node:fs'\nexport { default } from 'node:fs'\nexport const globSync = undefined"
  return { format: 'module', shortCircuit: true, source }
}
