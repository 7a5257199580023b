import { dirname, join, normalize } from 'node:path'
import { describe, expect, it, test } from 'vitest'
import { knownServerSources } from '../../../src/policy/known-server-sources.js'
import { anchorsOf, documents, exists, proseOf, textOf } from '../../support/docs/markdown.js'

/** Addresses outside of the project that the documentation may name. */
const knownAddresses: readonly string[] = [
  'https://github.com/Eomm/fastify-raw-body',
  ...Object.values(knownServerSources),
  'https://arxiv.org/abs/2509.13597',
  'https://github.com/panva/node-oidc-provider',
  'https://semver.org',
  'https://ts.sdk.modelcontextprotocol.io/v2/serving/express',
]

/** Hosts that RFC 2606 and RFC 6761 keep for examples. */
const exampleHost =
  /^https?:\/\/([a-z0-9-]+\.)*(example\.(com|org|net)|[a-z0-9-]+\.(example|test)|localhost)\b/

const { files } = JSON.parse(textOf('package.json')) as { files: string[] }
const isPublished = (file: string) =>
  ['README.md', 'LICENSE', 'package.json', ...files].some(
    (entry) => file === entry || file.startsWith(`${entry}/`),
  )

const links = documents.flatMap((file) =>
  [...proseOf(file).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => [file, target as string] as const),
)
const isAddress = (target: string) => /^[a-z]+:/.test(target)

describe('a link', () => {
  it.each(links.filter(([, target]) => !isAddress(target)))('of %s to %s leads somewhere', (file, target) => {
    const [path = '', anchor] = target.split('#')
    const there = path === '' ? file : normalize(join(dirname(file), path))
    expect(exists(there)).toBe(true)
    if (anchor !== undefined) expect([...anchorsOf(there)]).toContain(anchor)
    // Every link of the documentation leads to a file of the package.
    if (isPublished(file)) expect([there, isPublished(there)]).toEqual([there, true])
  })

  test('to another site is one of a known list', () => {
    const outside = links.map(([, target]) => target).filter(isAddress)
    expect(outside.filter((address) => !knownAddresses.includes(address))).toEqual([])
  })
})

test('no address in prose or code is made up: each is known, or of a host for examples', () => {
  const own = documents.filter((file) => !['docs/issuers.md', 'docs/migration.md'].includes(file))
  const found = own.flatMap((file) => textOf(file).match(/https?:\/\/[^\s'"`)>\]]+/g) ?? [])
  const isKnown = (address: string) =>
    exampleHost.test(address) || knownAddresses.some((known) => address.startsWith(known))
  expect(found.filter((address) => !isKnown(address) && !/^http:\/\/a\/?$/.test(address))).toEqual([])
})

test('the README has at most 200 lines, and every document is reached from it', () => {
  expect(textOf('README.md').trimEnd().split('\n').length).toBeLessThanOrEqual(200)
  const reached = new Set(['README.md'])
  for (const file of reached) {
    for (const [from, target] of links) {
      const [path = ''] = target.split('#')
      if (from === file && path.endsWith('.md')) reached.add(normalize(join(dirname(file), path)))
    }
  }
  expect(documents.filter((file) => file.startsWith('docs/') && !reached.has(file))).toEqual([])
})
