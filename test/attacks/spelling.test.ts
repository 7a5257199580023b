import { expect, test } from 'vitest'
import { defaultPolicy } from '../../fixtures/conformance/policy.js'
import { makeUntil } from '../../fixtures/jws-spellings.js'
import { createKit } from '../../fixtures/kit.js'
import { createVerifier } from '../../src/index.js'
import { outcomeOf } from '../support/verify.js'

const kit = createKit()

// Buffers take the low byte of a character: this one is an "A" to them.
test.each([1, 2, 3, 40])('behind %i blanks, too, a token has one spelling only', async (blanks) => {
  const verifier = createVerifier(defaultPolicy(), { now: () => kit.now })
  const token = makeUntil(
    () => kit.token(),
    (text) => text.includes('A'),
  )
  const ask = async (spelled: string) => {
    const { method, url, headers } = kit.call({ token })
    const fields = { ...Object.fromEntries(headers), Authorization: `DPoP${' '.repeat(blanks)}${spelled}` }
    const { authorization: _, ...rest } = fields as Record<string, string>
    return outcomeOf(await verifier.verify({ method, url, headers: rest }))
  }
  expect(await ask(token.replace('A', '\u0141'))).toBe('token_malformed')
  expect(await ask(token)).toBe('allow')
  expect(await ask(token.replace('A', '\u0141'))).toBe('token_malformed')
})
