import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readChallenge } from '../../../../src/agent/http/challenge.js'
import { redact } from '../../../../src/agent/http/redact.js'

describe('readChallenge', () => {
  it.each([
    ['DPoP', { scheme: 'DPoP' }],
    [
      'Bearer, DPoP error="invalid_token", algs="ES256"',
      { scheme: 'DPoP', error: 'invalid_token', algs: ['ES256'] },
    ],
    [
      'Bearer realm="a, DPoP error=\\"x\\"", error=invalid_token',
      { scheme: 'Bearer', error: 'invalid_token' },
    ],
    ['dpop ERROR = "x" ,  scope=""', { scheme: 'dpop', error: 'x', scope: [] }],
    ['DPoP error="a\\"b\\\\c"', { scheme: 'DPoP', error: 'a"b\\c' }],
    ['DPoP max_age="soon"', { scheme: 'DPoP' }],
    ['DPoP max_age=60', { scheme: 'DPoP', maxAge: 60 }],
    [',, DPoP algs="ES256 EdDSA"', { scheme: 'DPoP', algs: ['ES256', 'EdDSA'] }],
    ['', undefined],
    ['error="x"', undefined],
    ['"', undefined],
    [`DPoP error="${'x'.repeat(9000)}"`, undefined],
  ])('%s', (header, expected) => {
    expect(readChallenge(header)).toEqual(expected)
  })

  it('neither throws nor takes long, for any input', () => {
    const piece = fc.constantFrom('DPoP', ' ', ',', '=', '"', '\\', 'error', 'a', '\t', '=="', 'é')
    const header = fc.array(piece, { maxLength: 400 }).map((pieces) => pieces.join(''))
    const before = performance.now()
    fc.assert(
      fc.property(header, (text) => {
        readChallenge(text)
      }),
      { numRuns: 2000 },
    )
    for (const text of ['a=', '"', 'a="', '\\', 'a ', ' =', 'a=" \\'])
      readChallenge(text.repeat(8000 / text.length))
    expect(performance.now() - before).toBeLessThan(15_000)
  })
})

describe('redact', () => {
  it('takes out what was sent, pieces that could be of it, and control characters', () => {
    expect(redact('no "s3cret" here\r\nnor s3cret', ['s3cret'])).toBe('no "[redacted]" here nor [redacted]')
    expect(redact(`x ${'aB-_.'.repeat(8)} y`, [])).toBe('x [redacted] y')
    expect(redact('orders:read is not enough', [])).toBe('orders:read is not enough')
    expect(redact('é'.repeat(5), [])).toBe(' ')
    expect(redact('ab '.repeat(500), [])).toHaveLength(300)
    for (const nothing of ['', undefined, null, 7, {}]) expect(redact(nothing, [])).toBeUndefined()
  })

  it('in time that grows with the length only', () => {
    const before = performance.now()
    for (const text of ['a', 'a'.repeat(39).concat('!')]) redact(text.repeat(65_000 / text.length), ['xy'])
    expect(performance.now() - before).toBeLessThan(2000)
  })
})
