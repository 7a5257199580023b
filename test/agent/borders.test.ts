import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

const folder = new URL('../../src/agent/', import.meta.url)
const files = readdirSync(folder).map((name) => [name, readFileSync(new URL(name, folder), 'utf8')] as const)

/** What a file imports when it runs; types are gone by then. */
function imports(source: string): string[] {
  const statements = source.matchAll(
    /^(?:import|export)\s+(?!type\b)[^;]*?\bfrom '([^']+)'|\bimport\('([^']+)'\)/gm,
  )
  return [...statements].map(([, from, dynamic]) => from ?? dynamic ?? '')
}

describe('the client', () => {
  it.each(files)(
    '%s runs on Web Crypto, Fetch and three packages, and shares no code with the verifier but names',
    (_, source) => {
      const loaded = imports(source.replace(/typeof import\('[^']+'\)/g, ''))
      for (const from of loaded)
        expect(from).toMatch(
          /^(\.\/[a-z-]+\.js|\.\.\/(protocol\/[a-z-]+|copies)\.js|jose|canonicalize|lru-cache)$/,
        )
    },
  )

  it('needs Node for the surroundings of a step only', () => {
    const code = (source: string) => source.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '')
    const needy = files.filter(([, source]) => /\b(process|Buffer|require)\b|node:/.test(code(source)))
    expect(needy.map(([name]) => name)).toEqual(['ambient.ts'])
  })
})
