import { describe, expect, test } from 'vitest'
import { defaultPolicy } from '../../../fixtures/conformance/policy.js'
import { createVerifier, type Policy, PolicyError } from '../../../src/index.js'

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

describe('a HEAD key that needs less than the GET key, whose handler answers HEAD, is refused', () => {
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
    [{ 'HEAD /x': { scope: { any: ['a', 'b'] } }, 'GET /x': scope }, 'HEAD /x', 'GET /x'],
    [{ 'HEAD /x': { scope: { any: ['a', 'b'] } }, 'GET /x': { scope: ['a', 'b'] } }, 'HEAD /x', 'GET /x'],
    [{ 'HEAD /x': { scope: { any: ['a', 'b'] } }, 'GET /x': { scope: { any: ['a'] } } }, 'HEAD /x', 'GET /x'],
    [{ 'HEAD /x': 'authenticated', 'GET /x': { scope: { any: ['a'] } } }, 'HEAD /x', 'GET /x'],
    [
      { 'HEAD /x': { ...scope, anonymous: 'foreign' }, 'GET /x': { ...scope, anonymous: true } },
      'HEAD /x',
      'GET /x',
    ],
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
    [{ 'HEAD /x': { scope: { any: ['a', 'b'] } }, 'GET /x': { scope: { any: ['a', 'b'] } } }],
    [{ 'HEAD /x': { ...scope, anonymous: true }, 'GET /x': { ...scope, anonymous: 'foreign' } }],
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
  ])('%j is accepted', (routes) => {
    expect(looserKeys(routes)).toEqual([])
  })
})
