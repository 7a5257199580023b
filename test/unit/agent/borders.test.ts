import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

const folder = new URL('../../../src/agent/', import.meta.url)
const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  // The loader is an entry of its own, for Node alone.
  .filter((name) => name.endsWith('.ts') && !name.startsWith('loader/'))
  .map((name) => [name, readFileSync(new URL(name, folder), 'utf8')] as const)

/** The imports of a file at run time, without types. */
function imports(source: string): string[] {
  const statements = source.matchAll(
    /^(?:import|export)\s+(?!type\b)[^;]*?\bfrom '([^']+)'|\bimport\('([^']+)'\)/gm,
  )
  return [...statements].map(([, from, dynamic]) => from ?? dynamic ?? '')
}

describe('the client', () => {
  it.each(files)(
    '%s runs on Web Crypto, Fetch and two packages, and shares no code with the verifier but names',
    (name, source) => {
      const src = new URL('..', folder)
      for (const from of imports(source.replace(/typeof import\('[^']+'\)/g, ''))) {
        const target = from.startsWith('.')
          ? new URL(from, new URL(name, folder)).href.slice(src.href.length)
          : from
        expect(target).toMatch(/^(agent\/.+|protocol\/.+|lib\/copies\.js|jose|canonicalize)$/)
      }
    },
  )

  it('needs Node for the surroundings of a step only', () => {
    const code = (source: string) => source.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '')
    const needy = files.filter(([, source]) => /\b(process|Buffer|require)\b|node:/.test(code(source)))
    expect(needy.map(([name]) => name)).toEqual(['workflow/active-step.ts'])
  })
})
