import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  type DeclaredRoute,
  declare,
  findReference,
  type RouteAccess,
  type Semantics,
} from '../../support/routes/reference.js'
import { isRefused } from '../../support/routes/tokens.js'

describe('a HEAD key that needs less than GET does is refused', () => {
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
    [true, false].flatMap((wildcardMatchesEmpty) =>
      [true, false].map((strict) => ({ caseSensitive, wildcardMatchesEmpty, strict })),
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

  test('if and only if some path has the weaker rule', () => {
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
    expect(seen.refused).toBeGreaterThan(20)
    expect(seen.taken).toBeGreaterThan(20)
  })
})
