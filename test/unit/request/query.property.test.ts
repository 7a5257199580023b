import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parameterValues } from '../../../src/request/query.js'

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
