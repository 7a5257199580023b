import { expect, test } from 'vitest'
import { defaultPolicy } from '../../fixtures/conformance/policy.js'
import { createKit } from '../../fixtures/kit.js'
import { createVerifier } from '../../src/index.js'
import { outcomeOf, verifierFor } from '../support/verify.js'

const kit = createKit()
const { verify } = verifierFor(kit)
const token = kit.token()

const fields = {
  'the Authorization field': (text: string): [string, string][] => [['authorization', `DPoP ${text}`]],
  'the DPoP field': (text: string): [string, string][] => [
    ['authorization', `DPoP ${token}`],
    ['dpop', text],
  ],
}

/**
 * Milliseconds that a request with these fields takes: the best of several, since the machine has other work.
 */
async function costOf(headers: readonly [string, string][]): Promise<number> {
  let best = Number.POSITIVE_INFINITY
  for (let round = 0; round < 5; round++) {
    const started = performance.now()
    await verify({ method: 'GET', url: '/orders/42', headers })
    best = Math.min(best, performance.now() - started)
  }
  return best
}

// Sixteen times the blanks were 256 times the work for a pattern that begins anew at each of them: some 150
// ms.
test.each(Object.entries(fields))(
  'a run of blanks inside %s costs in proportion to its length',
  async (_, of) => {
    const short = await costOf(of(`a${' '.repeat(1000)}b`))
    const long = await costOf(of(`a${' '.repeat(16_000)}b`))
    expect(long).toBeLessThan(Math.max(50, 40 * short))
    expect(long).toBeLessThan(100)
  },
)

test('a path longer than a request line matches no route, and is not split', async () => {
  const { outcome } = verifierFor(kit, {
    unmatched: 'public',
    routes: { 'GET /files/*': 'public', 'GET /orders/:id': { scope: 'orders:read' } },
  })
  const get = (path: string) => outcome({ method: 'GET', url: path, headers: [] })
  expect(await get(`/files/${'a'.repeat(16_000)}`)).toBe('public')
  expect(await get(`/files/${'a'.repeat(16_384)}`)).toBe('credentials_missing')
  expect(await get(`/files/${'%61'.repeat(5_500)}`)).toBe('credentials_missing')
  const decoded = `/files/${'a'.repeat(16_384)}`
  const routing = {
    path: decoded,
    decoded: true,
    caseSensitive: true,
    strict: true,
    wildcardMatchesEmpty: true,
  }
  const verifier = createVerifier({ ...defaultPolicy(), routes: { 'GET /files/*': 'public' } })
  const decision = await verifier.verify({ method: 'GET', url: '/files/a', headers: {}, routing })
  expect(outcomeOf(decision)).toBe('credentials_missing')
})

// Sixteen times the letters were some 250 times the work for a pattern that looked for a token from each of
// them.
test.each(['eya-', 'eyJ-', '-eyJ/', 'eyJa%', 'ewo.'])(
  'an undeclared path of many %s costs in proportion to its length',
  async (part) => {
    const { verify } = verifierFor(kit)
    const cost = async (url: string) => {
      let best = Number.POSITIVE_INFINITY
      for (let round = 0; round < 5; round++) {
        const started = performance.now()
        for (let count = 0; count < 10; count++) await verify({ method: 'GET', url, headers: [] })
        best = Math.min(best, (performance.now() - started) / 10)
      }
      return best
    }
    const short = await cost(`/${part.repeat(60)}`)
    const long = await cost(`/${part.repeat(1000)}`)
    expect(long).toBeLessThan(Math.max(2, 40 * short))
  },
)
