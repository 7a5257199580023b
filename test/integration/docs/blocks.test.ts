import { afterAll, afterEach, beforeEach, describe, expect, it, test, vi } from 'vitest'
import '../../../fixtures/authorization-server/quiet.js'
import { createVerifier, type DenialCode, denials, type Policy } from '../../../src/index.js'
import { parseRules } from '../../../src/policy/parse.js'
import { examples } from '../../support/docs/examples.js'
import { closeAll, stubIssuer } from '../../support/docs/issuer.js'
import { type Block, blocksOf, documents, textOf } from '../../support/docs/markdown.js'
import { createBlockRunner } from '../../support/docs/run.js'
import { hasRedisServer, WITHOUT_REDIS } from '../../support/redis/server.js'

// Every code block of the documentation, run as it stands there.

/** Documents whose TypeScript a test of their own runs, against servers that only they need. */
const withTestsOfTheirOwn = [
  'docs/authorization-server.md',
  'docs/humans-and-agents.md',
  'docs/integrations.md',
  'docs/issuers.md',
  'docs/mcp.md',
  'docs/migration.md',
]

const blocks = documents.flatMap(blocksOf)
const inLanguage = (...languages: string[]) => blocks.filter(({ language }) => languages.includes(language))
const placeOf = ({ file, line }: Block) => `${file}:${line}`
const nameOf = ({ directive }: Block) => /^example: (\S+)$/.exec(directive ?? '')?.[1]
const exampleOf = (block: Block) => examples[nameOf(block) ?? '']

const runner = createBlockRunner()
afterAll(runner.remove)
beforeEach(stubIssuer)
afterEach(() => {
  vi.unstubAllGlobals()
  closeAll()
})

const code = inLanguage('ts', 'js').filter(({ file }) => !withTestsOfTheirOwn.includes(file))

describe('code', () => {
  it.each(code.map((block) => [placeOf(block), block] as const))(
    '%s runs',
    async (_, block) => {
      const name = nameOf(block)
      if (name !== undefined) expect(Object.keys(examples)).toContain(name)
      const example = exampleOf(block)
      if (example?.needsRedis && !hasRedisServer) return console.warn(WITHOUT_REDIS)
      const exports = await runner.run(block, example)
      await example?.check?.(exports)
    },
    120_000,
  )

  test('compiles', () => {
    // Of packages that are not installed here: the tests of these blocks compile them.
    const elsewhere = ['docs/integrations.md', 'docs/mcp.md']
    const all = inLanguage('ts').filter(({ file }) => !elsewhere.includes(file))
    expect(runner.typeCheck(all.map((block) => [block, exampleOf(block)]))).toEqual([])
  }, 120_000)

  test('uses every example that is kept for it', () => {
    expect(Object.keys(examples).sort()).toEqual(code.flatMap((block) => nameOf(block) ?? []).sort())
  })
})

/** The checks of JSON that is no policy, by the comment above it. */
const dataChecks: Readonly<Record<string, (value: never) => void>> = {
  'data: denial': (body: { code: DenialCode }) => {
    const { error, description } = denials[body.code]
    expect(body).toEqual({ error, error_description: description, code: body.code })
  },
  'data: span': ({ name, attributes }: { name: string; attributes: { key: string }[] }) => {
    const reporter = textOf('src/telemetry/reporter.ts')
    expect(
      [name, ...attributes.map(({ key }) => key)].filter((key) => !reporter.includes(`'${key}'`)),
    ).toEqual([])
  },
  'data: rules': (rules: object) => expect(parseRules(rules)).toEqual(rules),
  // reference.test.ts has a verifier accept them.
  'data: claims': ({ intent }: { intent: object }) => expect(intent).toBeTypeOf('object'),
}

describe('JSON', () => {
  const json = inLanguage('json')

  it.each(json.map((block) => [placeOf(block), block] as const))(
    '%s is what it is said to be',
    (_, block) => {
      const value = JSON.parse(block.code) as never
      if (block.directive === undefined) return createVerifier(value as Policy).close()
      expect(Object.keys(dataChecks)).toContain(block.directive)
      dataChecks[block.directive]?.(value)
    },
  )
})

describe('commands', () => {
  const { scripts, dependencies, devDependencies } = JSON.parse(textOf('package.json')) as Record<
    'scripts' | 'dependencies' | 'devDependencies',
    Record<string, string>
  >
  const lines = inLanguage('sh').flatMap((block) =>
    block.code
      .split('\n')
      .map((line) => line.replace(/\s+#.*$/, '').trim())
      .filter((line) => line !== '')
      .map((line) => [placeOf(block), line] as const),
  )

  const ofMcp: { dependencies: object } = JSON.parse(textOf('test/mcp/package.json'))

  // command-line.test.ts types the commands of ajwt itself, and mcp.test.ts sends what curl would.
  it.each(lines.filter(([, line]) => !/^(npx ajwt|curl) /.test(line)))('%s: %s', (_, line) => {
    for (const command of line.split(' && ')) {
      const script = /^npm (?:run (\S+)|(test))( -- .+)?$/.exec(command)
      const packages = /^npm install (.+)$/.exec(command)
      if (script !== null) expect(Object.keys(scripts)).toContain(script[1] ?? script[2])
      else if (packages !== null) {
        const known = ['ajwt', ...[dependencies, devDependencies, ofMcp.dependencies].flatMap(Object.keys)]
        for (const name of packages[1]?.split(' ') ?? []) expect(known).toContain(name)
      } else expect(['npm ci', 'npm start', 'npm install']).toContain(command)
    }
  })

  test('that a newcomer types are those of the README', () => {
    const typed = blocksOf('README.md').filter(({ language }) => language === 'sh')
    const all = typed.map((block) => block.code).join('')
    expect(all).toMatch(/^npm ci && npm run demo$/m)
    expect(all).toMatch(/^npm ci && npm test$/m)
  })
})

test('every block of output names the command that command-line.test.ts runs for it', () => {
  const outputs = inLanguage('text')
  expect(outputs.filter(({ directive }) => !directive?.startsWith('output: npx ajwt ')).map(placeOf)).toEqual(
    [],
  )
})

test('no block is in a language that nothing here checks', () => {
  const known = ['ts', 'js', 'json', 'sh', 'promql', 'mermaid', 'text']
  expect(blocks.filter(({ language }) => !known.includes(language)).map(placeOf)).toEqual([])
})
