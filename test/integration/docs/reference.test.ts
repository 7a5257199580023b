import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, test } from 'vitest'
import { AUDIENCE, agentKeys, createKit, ISSUER, issuerJwks } from '../../../fixtures/kit.js'
import { compilePolicy } from '../../../src/compile/compile-policy.js'
import { createVerifier, denials } from '../../../src/index.js'
import { cacheDefaults } from '../../../src/lib/cache.js'
import type { CompiledIssuer } from '../../../src/policy/issuer.js'
import { handlerRuleSchema, issuerSchema, ruleSchema, schema } from '../../../src/policy/schema.js'
import { algorithmNames, defaultProofAlgorithmNames } from '../../../src/protocol/algorithms.js'
import { render } from '../../../tools/docs/denials.js'
import { measured, unsupportedFigures } from '../../../tools/docs/figures.js'
import { withTables } from '../../../tools/docs/performance.js'
import { parseResults, readResults } from '../../../tools/docs/results.js'
import { blocksOf, documents, exists, root, tableUnder, textOf } from '../../support/docs/markdown.js'

// The lists of the documentation are those of the code.

const names = (file: string, heading: string) =>
  tableUnder(file, heading).flatMap(([cell = '']) =>
    [...cell.matchAll(/`([^`]+)`/g)].map(([, name]) => name as string),
  )
const flat = (text: string) => text.replaceAll(/\s+/g, ' ')

describe('docs/policy.md', () => {
  it.each([
    ['Keys of a policy', Object.keys(schema.shape)],
    ['Keys of an issuer entry', Object.keys(issuerSchema.shape)],
    ['Keys of a rule', Object.keys(ruleSchema.shape)],
    ['Proofs', Object.keys(schema.shape.proof.def.innerType.shape)],
  ])('names under "%s" every key, and no other', (heading, keys) => {
    expect(names('docs/policy.md', heading).sort()).toEqual([...keys].sort())
  })

  it('names every constraint on a claim', () => {
    const claims = ruleSchema.shape.claims.def.innerType.def.valueType
    expect(names('docs/policy.md', 'Constraints on claims').sort()).toEqual(Object.keys(claims.shape).sort())
  })

  it('names every condition on content, and every constraint', () => {
    const { limit, ...conditions } = handlerRuleSchema.shape
    const own = Object.keys(conditions).filter((key) => !Object.hasOwn(ruleSchema.shape, key))
    expect(names('docs/policy.md', 'The content of a request').sort()).toEqual(own.sort())
    const constraint = handlerRuleSchema.shape.body.def.innerType.def.valueType
    expect(names('docs/policy.md', 'Constraints on content').sort()).toEqual(
      Object.keys(constraint.shape).sort(),
    )
  })

  it('names the algorithms', () => {
    const text = flat(textOf('docs/policy.md'))
    expect(text).toContain(`${algorithmNames.slice(0, -1).join(', ')} and ${algorithmNames.at(-1)}`)
    expect(text).toContain(`| ${defaultProofAlgorithmNames.join(', ')} |`)
  })

  it('names for every denial of a rule a code that there is', () => {
    const codes = tableUnder('docs/policy.md', 'Keys of a rule').flatMap(([, , cell = '']) =>
      [...cell.matchAll(/`([a-z_]+_[a-z_]+)`/g)].map(([, code]) => code as string),
    )
    expect(codes.filter((code) => !Object.hasOwn(denials, code))).toEqual([])
    expect(codes.length).toBeGreaterThan(8)
  })
})

test('the defaults in the tables of docs/policy.md are those of the code', () => {
  const compiled = compilePolicy({
    issuer: 'https://as.example.com',
    audience: 'https://a.example.com',
    routes: {},
  })
  const { keys, token } = [...compiled.issuers.values()][0] as CompiledIssuer
  const cell = (heading: string, key: string) =>
    tableUnder('docs/policy.md', heading).find(([name]) => name === `\`${key}\``)?.[2]
  const { maxAge, cooldown, maxStale, timeout } = keys
  expect(cell('Keys of an issuer entry', 'keys')).toBe([maxAge, cooldown, maxStale, timeout].join(', '))
  expect(cell('Keys of a policy', 'token')).toBe(
    `\`['at+jwt']\`, every algorithm below, ${token.maxLifetime}, ${token.clockTolerance}`,
  )
  expect(cell('Keys of a policy', 'proof')).toBe(
    `\`true\`, five algorithms, ${compiled.proof.maxAge}, \`'${compiled.proof.nonce}'\``,
  )
  expect(cell('Keys of a policy', 'delegation')).toBe(
    `${compiled.delegation.maxDepth}, \`'${compiled.delegation.signed}'\``,
  )
  expect(defaultProofAlgorithmNames).toHaveLength(5)
})

/** The names of the members of an interface, wherever in a folder it stands. */
function membersOf(folder: string, name: string): string[] {
  const start = new RegExp(`export interface ${name} [^{]*{\n`)
  const [body = ''] = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .flatMap((file) => textOf(`${folder}/${file}`).split(start).slice(1))
  const lines = (body.split('\n}')[0] ?? '').matchAll(/^ {2}(?:readonly )?(\w+)\??[:(]/gm)
  return [...new Set([...lines].map(([, member]) => member as string))]
}

describe('every member of an interface is in its table', () => {
  it.each<[string, string, string[]]>([
    ['docs/policy.md', 'Options of the verifier', membersOf('src', 'VerifierOptions')],
    ['docs/frameworks.md', 'The grant', membersOf('src', 'Grant')],
    ['docs/frameworks.md', 'The verifier', membersOf('src', 'Verifier')],
    ['docs/observability.md', 'The cause of a denial', membersOf('src', 'Cause')],
    [
      'docs/agent-client.md',
      'Options of createAgentClient',
      ['AgentClientOptions', 'GrantOptions', 'KeyOptions'].flatMap((name) => [
        ...membersOf('src/agent', name),
      ]),
    ],
    ['docs/agent-client.md', 'The intent of a request', membersOf('src/agent', 'AgentIntent')],
    ['docs/testing.md', 'More than a scope', membersOf('src/testing', 'TestCall')],
    ['docs/testing.md', 'Attack the API', membersOf('src/testing', 'AttackTarget')],
  ])('%s, %s', (file, heading, members) => {
    const cells = tableUnder(file, heading).map(([cell = '']) => cell)
    const listed = cells.flatMap((cell) =>
      [...cell.matchAll(/`(\w+)[^`]*`/g)].map(([, name]) => name as string),
    )
    expect(members.length).toBeGreaterThan(4)
    expect(listed.sort()).toEqual(members.sort())
  })
})

describe('docs/intent-token.md', () => {
  const claims = JSON.parse(blocksOf('docs/intent-token.md')[0]?.code ?? '') as { iat: number }

  it('shows the claims of a token that is accepted', async () => {
    const kit = createKit(claims.iat * 1000)
    const policy = { issuer: { url: ISSUER, jwks: issuerJwks() }, audience: AUDIENCE }
    const rule = {
      scope: 'orders:refund',
      intent: { workflow: 'refund', step: 'issue' },
      user: { sub: ['user:alice'] },
    }
    const verifier = createVerifier(
      { ...policy, routes: { 'GET /orders/:id': rule } },
      { now: () => kit.now },
    )
    // Its key is that of the caller, as an authorization server would bind it.
    const own = { ...claims, cnf: { jkt: agentKeys.seven.thumbprint } }
    const { headers, ...request } = kit.call({ token: { rawPayload: JSON.stringify(own) } })
    const decision = await verifier.verify({ ...request, headers: headers.flat() })
    expect(decision).toMatchObject({
      outcome: 'allow',
      grant: {
        agent: { id: 'agent-7', registrationId: 'reg-7' },
        intent: { runId: 'run-1', initiatorType: 'user' },
      },
    })
  })

  it('names every member that is read, and no other', () => {
    const read = (file: string, pattern: RegExp) =>
      [...textOf(file).matchAll(pattern)].map(([, name]) => name as string)
    const ofIntent = read('src/token/intent-claims.ts', /\bintent\.([a-z]+_[a-z_]+)\b/g)
    const listed = tableUnder('docs/intent-token.md', 'Members of `intent`').map(([cell = '']) =>
      cell.replaceAll('`', ''),
    )
    expect(listed.sort()).toEqual([...new Set(ofIntent), 'delegation'].sort())
    const payload = textOf('src/delegation/assertion.ts').match(/const \{ (.+) \} = payload\n/g) ?? []
    const ofAssertion = payload.flatMap((line) =>
      (/\{ (.+) \}/.exec(line)?.[1] ?? '').split(', ').map((name) => name.split(':')[0] as string),
    )
    expect(
      [...new Set(names('docs/intent-token.md', 'Delegation assertions'))]
        .filter((name) => /^[a-z_]+$/.test(name))
        .sort(),
    ).toEqual([...new Set(ofAssertion)].sort())
  })
})

test('docs/denials.md is what npm run docs writes', () => {
  expect(textOf('docs/denials.md')).toBe(render())
})

test('docs/architecture.md names every folder and every file of src', () => {
  const listed = [
    ...names('docs/architecture.md', 'Folders'),
    ...[...textOf('docs/architecture.md').matchAll(/`(src\/[a-z.-]+)`/g)].map(([, name]) => name as string),
  ]
  const there = readdirSync(join(root, 'src')).map((name) => `src/${name}`)
  expect(there.filter((name) => !listed.includes(name))).toEqual([])
  expect(listed.filter((name) => !exists(name))).toEqual([])
})

test('the picture in docs/architecture.md has the stages in their order', () => {
  const [picture] = blocksOf('docs/architecture.md').filter(({ language }) => language === 'mermaid')
  const drawn = [...(picture?.code ?? '').matchAll(/\["(\w+): /g)].map(([, stage]) => stage)
  const stages = /export type Stage = (.+)/.exec(textOf('src/decision.ts'))?.[1] ?? ''
  expect(drawn).toEqual(stages.split(' | ').map((stage) => stage.replaceAll("'", '')))
})

test('docs/glossary.md is in order', () => {
  const terms = [...textOf('docs/glossary.md').matchAll(/^\*\*([^*]+)\.\*\*/gm)].map(
    ([, term]) => term as string,
  )
  expect(terms.length).toBeGreaterThan(30)
  expect(terms).toEqual([...terms].sort((one, other) => one.localeCompare(other, 'en')))
})

describe('figures', () => {
  it.each(measured)('of %s are those of the benchmarks that it cites', (file) => {
    expect(unsupportedFigures(textOf(file), readResults())).toEqual([])
  })

  it('in the tables of docs/performance.md are what npm run docs writes', () => {
    const document = textOf('docs/performance.md')
    expect(document.match(/<!-- results: /g)?.length).toBeGreaterThan(3)
    expect(document).toBe(withTables(document))
  })

  it('of another processor, rounded otherwise or in none of the results are found', () => {
    const one = parseResults(
      'results-one.md',
      '# Cost on One\n\n| | time |\n| --- | --- |\n| a | 12.5 µs (1.16) |\n',
    )
    const two = parseResults(
      'results-two.md',
      '# Cost on Two\n\n| | time |\n| --- | --- |\n| a | 20.1 µs (1.33) |\n',
    )
    const wrong = (text: string) => unsupportedFigures(text, [one, two]).map(({ figure }) => figure)
    expect(wrong('12.5 µs, 1.16 times, and 20.1 µs.')).toEqual([])
    expect(wrong('2.5 µs, 12.6 µs and 1.17 times')).toEqual(['2.5 µs', '12.6 µs', '1.17 times'])
    expect(wrong('12.5 µs in `bench/results-two.md`')).toEqual(['12.5 µs'])
    expect(wrong('| a | Two, known |\n|---|---|\n| b | 12.5 µs |\n\n12.5 µs')).toEqual(['12.5 µs'])
    expect(wrong('## Here\n\n`bench/results-one.md` 20.1 µs\n\n## There\n\n20.1 µs\n')).toEqual(['20.1 µs'])
  })

  it('that are defaults are those of the code', () => {
    const performance = flat(textOf('docs/performance.md'))
    for (const [name, bytes] of Object.entries(cacheDefaults)) {
      expect(performance).toContain(`\`cache.${name}\` | ${bytes / 2 ** 20} MiB`)
    }
  })
})

test('queries and the table of metrics name metrics that there are', () => {
  const source = ['instruments', 'replay-metrics'].map((name) => textOf(`src/telemetry/${name}.ts`)).join('')
  const metrics = [...source.matchAll(/'(ajwt\.[a-z_.]+)'/g)].map(([, name]) => name as string)
  expect(names('docs/observability.md', 'Spans and metrics').sort()).toEqual(
    metrics.filter((name) => !['ajwt.outcome', 'ajwt.code', 'ajwt.issuer'].includes(name)).sort(),
  )
  const asPrometheus = metrics.map((name) => name.replaceAll('.', '_'))
  const queries = documents.flatMap(blocksOf).filter(({ language }) => language === 'promql')
  const asked = queries.flatMap(({ code }) => code.match(/ajwt_[a-z_]+(?=\{|\[)/g) ?? [])
  expect(asked.length).toBeGreaterThan(1)
  for (const name of asked) expect(asPrometheus).toContain(name.replace(/_(total|bucket)$/, ''))
})

test('every fact of a decision is documented', () => {
  const text = textOf('docs/observability.md')
  const facts = membersOf('src/telemetry', 'DecisionFacts')
  expect(facts.length).toBeGreaterThan(6)
  expect(facts.filter((fact) => !text.includes(`\`${fact}\``))).toEqual([])
})

test('process warnings are documented', () => {
  const files = ['src', 'middleware'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts'))
      .map((file) => textOf(`${folder}/${file}`)),
  )
  const codes = new Set(files.flatMap((text) => text.match(/(?<=')AJWT_[A-Z_]+(?=')/g) ?? []))
  expect(names('docs/observability.md', 'Process warnings').sort()).toEqual([...codes].sort())
})
