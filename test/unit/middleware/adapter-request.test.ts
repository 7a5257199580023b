import { describe, expect, it } from 'vitest'
import { AdapterRequest } from '../../../middleware/core.js'

function makeRequest(signal: AbortSignal): AdapterRequest {
  const routing = { caseSensitive: true, strict: true, wildcardMatchesEmpty: false }
  return new AdapterRequest({ method: 'GET', url: '/orders/1', headers: {}, routing }, () => signal)
}

describe('the request of an adapter', () => {
  it('has the signal of its own connection', () => {
    const [one, other] = [new AbortController().signal, new AbortController().signal]
    expect(makeRequest(one).signal).toBe(one)
    expect(makeRequest(other).signal).toBe(other)
  })

  it('inherits the getter of the signal: one of its own would keep it in memory', () => {
    const request = makeRequest(new AbortController().signal)
    expect(Object.keys(request)).toEqual(['method', 'url', 'headers', 'routing'])
    expect(Object.hasOwn(request, 'signal')).toBe(false)
  })
})
