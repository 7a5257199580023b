import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import { defaultPolicy } from '../../../fixtures/conformance/policy.js'
import { createVerifier, loadPolicy, type Policy, PolicyError, type PolicyIssue } from '../../../src/index.js'
import { readJson } from '../../../src/policy/json-file.js'

const folder = mkdtempSync(join(tmpdir(), 'ajwt-policy-'))
const file = join(folder, 'policy.json')
afterAll(() => rmSync(folder, { recursive: true }))

function write(content: string | Uint8Array): string {
  writeFileSync(file, content)
  return file
}

function errorOf(run: () => unknown): PolicyError {
  try {
    run()
  } catch (error) {
    if (error instanceof PolicyError) return error
    throw error
  }
  throw new Error('no error')
}

const placesOf = ({ issues }: PolicyError) =>
  issues.map(({ path, line, column }: PolicyIssue) => `${line}:${column} ${path}`)

describe('a file that is not a policy in JSON', () => {
  test.each([
    [
      'a member twice',
      '{\n  "mode": "enforce",\n  "mode": "observe"\n}',
      '3:3 mode',
      'occurs twice in one object, first at 2:3',
    ],
    [
      'a member twice, deeper',
      '{"routes":{"GET /a":"public",\r\n "GET /a" : "authenticated"}}',
      '2:2 routes["GET /a"]',
      'remove one of them',
    ],
    ['a member twice, once with an escape', '{"a":1,"\\u0061":2}', '1:8 a', 'occurs twice'],
    ['"__proto__" twice', '{"__proto__":1,"__proto__":2}', '1:16 __proto__', 'occurs twice'],
    ['a comma after the last member', '{\n  "a": 1,\n}', '3:1 ', 'a comma after the last element'],
    ['a comma after the last element', '{"a": [1, ]}', '1:11 ', 'a comma after the last element'],
    ['a comment', '{\n  // why\n  "a": 1 }', '2:3 ', 'JSON does not allow comments'],
    ['single quotes', "{'a': 1}", '1:2 ', 'JSON needs double quotes'],
    ['a name without quotes', '{a: 1}', '1:2 ', 'expected a name in double quotes'],
    ['no colon', '{"a" 1}', '1:6 ', 'expected ":" after the name "a"'],
    ['no comma', '{"a": 1 "b": 2}', '1:9 ', 'expected "," or "}"'],
    ['an end too early', '{"a": {\n', '2:1 ', 'ends too early: expected a name in double quotes'],
    ['nothing', '', '1:1 ', 'ends too early: expected a value'],
    ['text after the end', '{} {}', '1:4 ', 'has text after the end of the JSON value'],
    ['a string that is not closed', '{"a": "b\n"}', '1:7 ', 'this string is not closed'],
    ['a number that begins with zero', '{"a": 01}', '1:8 ', 'expected "," or "}"'],
    ['NaN', '{"a": NaN}', '1:7 ', 'expected a value'],
    ['no object', '[]', '1:1 ', 'must be a JSON object'],
    ['nesting without end', '['.repeat(100_000), '1:42 ', 'nests more than 40 levels'],
  ])('%s: line, column and what to do', (_, text, place, message) => {
    const error = errorOf(() => loadPolicy(write(text)))
    expect(placesOf(error)).toEqual([place])
    expect(error.message).toContain(`${file}:${place.split(' ')[0]}: `)
    expect(error.message).toContain(message)
  })

  test('every member that occurs twice is reported', () => {
    const error = errorOf(() => loadPolicy(write('{"a":1,"a":2,\n"b":{"c":1,"c":2}}')))
    expect(placesOf(error)).toEqual(['1:8 a', '2:12 b.c'])
  })

  test('is not UTF-8', () => {
    const error = errorOf(() => loadPolicy(write(Uint8Array.of(0x7b, 0xff, 0x7d))))
    expect(error.message).toContain('is not UTF-8')
  })

  test('does not exist: the error of the file system', () => {
    expect(() => loadPolicy(join(folder, 'none.json'))).toThrow('ENOENT')
  })
})

describe('the content of a file', () => {
  test('is the value that JSON.parse returns, for any JSON', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 6 }), fc.constantFrom(undefined, 2, '\t'), (json, indent) => {
        const value: unknown = JSON.parse(json)
        const text = JSON.stringify(value, null, indent)
        expect(readJson(text, 'x')).toEqual(value)
      }),
    )
  })

  test('is refused if JSON.parse refuses it', () => {
    const pieces = [
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"a"',
      '"b"',
      '1',
      '-',
      '0',
      '.5',
      'e3',
      'true',
      'null',
      ' ',
      '\n',
      '"\\x"',
      '\u00a0',
    ]
    const texts = fc.array(fc.constantFrom(...pieces), { maxLength: 8 }).map((parts) => parts.join(''))
    let valid = 0
    fc.assert(
      fc.property(texts, (text) => {
        let parsed: { value: unknown } | undefined
        try {
          parsed = { value: JSON.parse(text) }
          valid += 1
        } catch {}
        if (parsed === undefined) expect(() => readJson(text, 'x')).toThrow(PolicyError)
        else if (!/"a".*"a"|"b".*"b"/s.test(text)) expect(readJson(text, 'x')).toEqual(parsed.value)
      }),
      { numRuns: 3000 },
    )
    expect(valid).toBeGreaterThan(20)
  })

  test('can start with a byte order mark, be given by a URL, and contain $schema', () => {
    const policy = { $schema: './policy.schema.json', ...defaultPolicy() }
    write(`\ufeff${JSON.stringify(policy)}`)
    expect(loadPolicy(pathToFileURL(file))).toEqual(JSON.parse(JSON.stringify(policy)))
    expect(() => createVerifier(loadPolicy(file))).not.toThrow()
  })
})

const wrong = `{
  "issuer": "http://as.example.com",
  "audience": "https://orders.example.com",
  "worklfows": {},
  "workflows": { "refund": { "steps": ["issue"] } },
  "agents": { "agent\\u0007": { "checksums": ["x"] } },
  "routes": {
    "GTE /orders": "public",
    "GET /orders/:id": {
      "scope": ["orders:read",
        "a b"],
      "intent": { "workflow": "refnud" }
    },
    "GET /orders/:order": "public",
    "POST /orders": { "intent": {} }
  }
}`

describe('a mistake in a policy from a file, found when the verifier is made', () => {
  const places = [
    '2:13 issuer',
    '4:3 worklfows',
    '6:15 agents["agent\\u0007"]',
    '8:5 routes["GTE /orders"]',
    '11:9 routes["GET /orders/:id"].scope[1]',
    // Mistakes that span several fields are reported for the parts that have the right shape.
    '14:5 routes["GET /orders/:order"]',
    '15:33 routes["POST /orders"].intent.workflow',
  ]

  test('is reported with line and column', () => {
    const error = errorOf(() => createVerifier(loadPolicy(write(wrong))))
    expect(placesOf(error).sort()).toEqual([...places].sort())
    for (const place of places) expect(error.message).toContain(`  ${file}:${place.replace(' ', ': ')}: `)
  })

  test('is reported with line and column for the name of a workflow', () => {
    const text = wrong.replace('"a b"', '"b"')
    const error = errorOf(() => createVerifier(loadPolicy(write(text))))
    expect(placesOf(error)).toContain('12:31 routes["GET /orders/:id"].intent.workflow')
  })

  test('is reported with line and column for a policy that is built from several files', () => {
    const policy = loadPolicy(write(wrong))
    const { issuer, audience, routes } = policy
    const error = errorOf(() => createVerifier({ issuer, audience: 1 as never, routes } satisfies Policy))
    const own = error.issues.filter(({ file }) => file === undefined).map(({ path }) => path)
    expect(audience).toBe('https://orders.example.com')
    expect(own.sort()).toEqual(['audience', 'issuer'])
    expect(placesOf(error)).toContain('8:5 routes["GTE /orders"]')
  })
})
