import { afterEach, expect, test, vi } from 'vitest'
import { createKit, plainRequest } from '../../../fixtures/kit.js'
import { verifierFor } from '../../support/verify.js'

afterEach(() => vi.unstubAllGlobals())

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
