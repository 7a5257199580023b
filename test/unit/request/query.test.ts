import fc from 'fast-check'
import { afterEach, expect, test, vi } from 'vitest'
import { createKit, plainRequest } from '../../../fixtures/kit.js'
import { parameterValues } from '../../../src/request/query.js'
import { verifierFor } from '../../support/verify.js'

afterEach(() => vi.unstubAllGlobals())

const pieces = fc.constantFrom(
  ...['_method', 'access_token', '_', 'method', 'a', '[', ']', '%5b', '%5D', '=', '=', '&', '&', '%', '+'],
  ...['%5f', '%6D', '%6dethod', '%3d', '%26', '%5Fmethod', 'x', '%ff', '%4', '%zz'],
)

test('finds every parameter that URLSearchParams finds under the name, and those with brackets', () => {
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 12 }), (texts) => {
      const query = texts.join('')
      const expected = [...new URLSearchParams(query)].filter(([name]) => /^\[?_method([[\]]|$)/.test(name))
      const found = parameterValues(query, '_method')
      const decoded = found.map((value) => new URLSearchParams(`v=${value}`).get('v'))
      expect({ query, decoded }).toEqual({ query, decoded: expected.map(([, value]) => value) })
    }),
    { numRuns: 20_000 },
  )
})

test('no query of a request is parsed as a whole', async () => {
  let parsed = 0
  vi.stubGlobal(
    'URLSearchParams',
    class extends URLSearchParams {
      constructor(...parameters: ConstructorParameters<typeof URLSearchParams>) {
        super(...parameters)
        parsed++
      }
    },
  )
  const kit = createKit()
  const { outcome } = verifierFor(kit)
  for (const unit of ['%', '%41&', '&', '_method=GET&', '%5fmetho%', 'access_toke&', '[access_token&']) {
    const query = unit.repeat(16_384 / unit.length)
    expect(await outcome(kit.call({ path: `/orders/42?${query}` }))).not.toBe('internal_error')
    expect(await outcome(plainRequest('GET', `/feed?${query}`))).not.toBe('internal_error')
  }
  expect(parsed).toBe(0)
})
