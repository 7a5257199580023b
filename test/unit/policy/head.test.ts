import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { defaultPolicy } from '../../../fixtures/conformance/policy.js'
import { createVerifier, type Policy, PolicyError } from '../../../src/index.js'
import {
  type DeclaredRoute,
  declare,
  findReference,
  type RouteAccess,
  type Semantics,
} from '../../support/routes/reference.js'
import { isRefused } from '../../support/routes/tokens.js'

/** The keys that are refused, each with the key that it is looser than. */
function looserKeys(routes: Policy['routes']): string[] {
  try {
    createVerifier({ ...defaultPolicy(), workflows: { w: { steps: ['s'] } }, routes })
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error
    return error.issues.map(
      ({ path, message }) => `${path}: ${/^needs less than ("[^"]*")/.exec(message)?.[1]}`,
    )
  }
  return []
}

const scope = { scope: 'a' }

describe('a HEAD key that needs less than GET does, whose handler answers HEAD, is refused', () => {
  test.each<[routes: Policy['routes'], head: string, other: string]>([
    [{ 'HEAD /x': 'public', 'GET /x': scope }, 'HEAD /x', 'GET /x'],
    [{ 'HEAD /x': 'public', 'GET /x': 'authenticated' }, 'HEAD /x', 'GET /x'],
    [{ 'HEAD /x': 'authenticated', 'GET /x': scope }, 'HEAD /x', 'GET /x'],
    [{ 'HEAD,POST /x': 'public', 'GET,PUT /X/': scope }, 'HEAD,POST /x', 'GET,PUT /X/'],
    [{ 'HEAD /x': 'public', '* /x': scope }, 'HEAD /x', '* /x'],
    [{ 'HEAD /a/x': 'public', 'GET /a/:id': scope }, 'HEAD /a/x', 'GET /a/:id'],
    [{ 'HEAD /a/x': 'public', 'GET /a/*': scope }, 'HEAD /a/x', 'GET /a/*'],
    [{ 'HEAD /a/:id': 'public', 'GET /a/*': scope }, 'HEAD /a/:id', 'GET /a/*'],
    [{ 'HEAD /a/*': 'public', 'GET /*': scope }, 'HEAD /a/*', 'GET /*'],
    [{ 'HEAD /a/:id/*': 'public', 'GET /*': scope, 'GET /:a/:b/:c': 'public' }, 'HEAD /a/:id/*', 'GET /*'],
    [{ 'HEAD /a': 'public', 'GET /a/*': scope }, 'HEAD /a', 'GET /a/*'],
    [{ 'HEAD /x': { scope: 'a' }, 'GET /x': { scope: 'b' } }, 'HEAD /x', 'GET /x'],
    [{ 'HEAD /x': { scope: 'a' }, 'GET /x': { scope: ['a', 'b'] } }, 'HEAD /x', 'GET /x'],
    [{ 'HEAD /x': { ...scope, mode: 'observe' }, 'GET /x': scope }, 'HEAD /x', 'GET /x'],
    [{ 'HEAD /x': { ...scope, anonymous: true }, 'GET /x': scope }, 'HEAD /x', 'GET /x'],
    [{ 'HEAD /x': scope, 'GET /x': { ...scope, once: true } }, 'HEAD /x', 'GET /x'],
    [
      { 'HEAD /x': { intent: { workflow: 'w' } }, 'GET /x': { intent: { workflow: 'w', step: 's' } } },
      'HEAD /x',
      'GET /x',
    ],
  ])('%j', (routes, head, other) => {
    expect(looserKeys(routes)).toEqual([`routes["${head}"]: "${other}"`])
    expect(looserKeys(Object.fromEntries(Object.entries(routes).reverse()))).toEqual([
      `routes["${head}"]: "${other}"`,
    ])
  })

  test.each<[Policy['routes']]>([
    [{ 'HEAD /x': 'public' }],
    [{ 'HEAD /x': 'public', 'GET /x': 'public' }],
    [{ 'HEAD /x': scope, 'GET /x': 'public' }],
    [{ 'HEAD /x': scope, 'GET /x': 'authenticated' }],
    [{ 'HEAD /x': { scope: ['a', 'b'] }, 'GET /x': scope }],
    [{ 'HEAD /x': { ...scope, once: true }, 'GET /x': { scope: ['a'], once: false } }],
    [
      {
        'HEAD /x': { claims: { '/b': { in: [1, 2] }, '/a': { min: 1 } }, agents: ['a'] },
        'GET /x': { claims: { '/a': { min: 1 }, '/b': { in: [1, 2] } } },
      },
    ],
    [{ 'GET,HEAD /x': scope, 'GET,HEAD /y': 'public', 'GET /*': scope }],
    // GET has the more specific path, and answers HEAD there under its own rule.
    [{ 'HEAD /a/*': 'public', 'GET /a/:id': scope }],
    [{ 'HEAD /a/:id': 'public', 'GET /a/x': scope }],
    [{ 'HEAD /a/x': 'public', 'POST /a/x': scope, 'GET /a/:id/y': scope }],
    [{ 'HEAD /a/x': 'public', 'GET /a/x': 'public', 'GET /a/:id': scope }],
  ])('%j is not', (routes) => {
    expect(looserKeys(routes)).toEqual([])
  })

  const texts = fc.constantFrom('a', 'A', 'b', ':p', ':q')
  const segmentLists = fc
    .tuple(fc.uniqueArray(texts, { maxLength: 3 }), fc.boolean())
    .map(([segments, rest]) => (rest ? [...segments, '*'] : segments))
  const accesses = fc.constantFrom<RouteAccess>('public', 'authenticated', { scope: 'a' })
  const methodLists = fc.constantFrom(['HEAD'], ['HEAD', 'POST'], ['GET'], ['GET', 'HEAD'], ['*'])
  const routeLists = fc.array(
    fc
      .tuple(methodLists, segmentLists, accesses)
      .map(([methods, segments, access]) => declare(methods, segments, access)),
    { minLength: 2, maxLength: 4 },
  )
  /** Every path of so many segments at most, of these names. */
  function pathsOf(length: number): string[] {
    if (length === 0) return ['']
    const shorter = pathsOf(length - 1)
    const longest = shorter.filter((path) => path.split('/').length === length)
    return shorter.concat(longest.flatMap((path) => ['a', 'A', 'b', 'z'].map((text) => `${path}/${text}`)))
  }
  const paths = pathsOf(5)
  const everySemantics: Semantics[] = [true, false].flatMap((caseSensitive) =>
    [true, false].flatMap((emptyRest) =>
      [true, false].map((strict) => ({ caseSensitive, emptyRest, strict })),
    ),
  )
  const strictness = (access: RouteAccess) => ['public', 'authenticated'].indexOf(access as string) + 1 || 3

  /** Tries every path of few segments and few names. */
  function hasLooserHead(routes: readonly DeclaredRoute[]): boolean {
    return everySemantics.some((semantics) =>
      paths.some((path) => {
        const head = findReference(routes, 'HEAD', path || '/', semantics)
        const get = findReference(routes, 'GET', path || '/', semantics)
        return head !== undefined && get !== undefined && strictness(head.access) < strictness(get.access)
      }),
    )
  }

  test('exactly where some path shows it', () => {
    const seen = { refused: 0, taken: 0 }
    fc.assert(
      fc.property(routeLists, (routes) => {
        const shapes = routes.flatMap(({ methods, segments }) =>
          methods.map(
            (method) =>
              `${method} ${segments.map((text) => (text.startsWith(':') ? ':' : text.toLowerCase())).join('/')}`,
          ),
        )
        fc.pre(new Set(shapes).size === shapes.length)
        const refused = isRefused(routes)
        seen[refused ? 'refused' : 'taken'] += 1
        expect(refused).toBe(hasLooserHead(routes))
      }),
      { numRuns: 400 },
    )
    expect(seen.refused).toBeGreaterThan(40)
    expect(seen.taken).toBeGreaterThan(40)
  })
})
