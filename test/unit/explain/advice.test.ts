import { describe, expect, it } from 'vitest'
import { adviceOf } from '../../../src/explain/advice.js'
import { clauseOf } from '../../../src/explain/catalogue.js'
import { type DenialCode, denials } from '../../../src/index.js'

const url = (expected: string, found: string) =>
  adviceOf('proof_uri_mismatch', { reason: 'htu', expected, found })

describe('the advice on a denial', () => {
  it.each(Object.keys(denials) as DenialCode[])('says for %s where to change what', (code) => {
    for (const cause of [undefined, { reason: 'something' }]) {
      expect(adviceOf(code, cause)).toMatch(/^(At the (caller|issuer|API)|Nobody)\b.*\.$/)
      expect(adviceOf(code, cause)).not.toMatch(/`|undefined|facts\.cause/)
    }
  })

  it('distinguishes a proxy that ends TLS, one that strips a prefix, and another host', () => {
    expect(url('http://a.example/x', 'https://a.example/x')).toContain('set publicUrl to "https://a.example"')
    expect(url('https://a.example/x', 'http://a.example/x')).toContain('make the proof for the https URL')
    expect(url('http://a.example/x', 'https://a.example/v1/x')).toContain('"https://a.example/v1"')
    expect(url('https://a.example/x', 'https://a.example/v1/x')).toContain('strips the prefix "/v1"')
    expect(url('https://a.example/x', 'https://b.example/x')).toContain(
      'set publicUrl to "https://b.example"',
    )
    expect(url('https://a.example/x', 'https://a.example/X')).toContain('Letter case')
    expect(url('https://a.example/x or https://c.example/x', 'https://c.example/y/x')).toContain('publicUrl')
    expect(url('https://a.example/x', 'no url')).toContain('put the whole URL of the request into htu')
    expect(url('https://a.example/v1/x', 'https://a.example/x')).toContain('take "/v1" out of publicUrl')
    expect(url('https://a.example/x', 'https://a.example/x/')).toContain('The last slash counts.')
    expect(url('https://a.example/x', 'https://a.example/y')).toContain('another path')
    expect(url('http://[::1]/x', 'http://[0:0:0:0:0:0:0:1]/x')).toContain('another spelling')
    expect(url('no url', 'https://a.example/x')).toMatch(/^At the caller or the API: /)
  })
})

it('every condition of a rule has a clause', () => {
  const names = [
    'scope',
    'agents',
    'user.acr',
    'user.sub',
    'claims["/a"]',
    'delegation.chains',
    'intent.step',
  ]
  for (const name of names) expect(clauseOf('rule', name)).toMatch(/^(RFC|draft)/)
  expect(clauseOf('rule', 'user.acr')).toBe('RFC 9470 section 3')
})
