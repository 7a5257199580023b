import { Buffer } from 'node:buffer'
import { expect } from 'vitest'
import type { Passed, Refusal } from '../../../fixtures/conformance/row.js'
import type { WireRequest } from '../../../fixtures/kit.js'
import { denials, type Policy } from '../../../src/index.js'

/** A refusal as a column saw it. */
export interface Seen {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: unknown
}

/** What every refusal owes its caller, whatever the code (RFC 6750 section 3, RFC 9449 section 7.1). */
export function judgeRefusal(seen: Seen, expected: Refusal): void {
  expect(seen.status).toBe(expected.status)
  expect(seen.body).toEqual(bodyOf(expected))
  expect(seen.headers['cache-control']).toBe('no-store')
  const challenge = seen.headers['www-authenticate']
  if (expected.status === 401 || expected.status === 403) judgeChallenge(challenge ?? '', expected)
  else expect(challenge).toBeUndefined()
  if (expected.status === 503) expect(seen.headers['retry-after']).toMatch(/^\d+$/)
  if (expected.code === 'proof_nonce_required') expect(seen.headers['dpop-nonce']).toMatch(/^[\w-]+$/)
  for (const value of Object.values(seen.headers)) expect(value).toMatch(/^[\x20-\x7e]*$/)
}

/** What is sent as JSON. */
export function bodyOf({ code, error }: Refusal): object {
  return { ...(error === undefined ? {} : { error }), error_description: denials[code].description, code }
}

/** Header fields that a row asks for on a request that was let through. */
export function judgeHeaders(headers: Readonly<Record<string, string>>, expected: Passed): void {
  for (const [name, pattern] of Object.entries(expected.headers ?? {})) {
    expect(headers[name] ?? '').toMatch(pattern)
  }
}

const parameter = '[a-z_]+="[\\x20\\x21\\x23-\\x5b\\x5d-\\x7e]*"'
const challenges = new RegExp(`^(DPoP|Bearer) ${parameter}(, ${parameter}|, (DPoP|Bearer) ${parameter})*$`)

function judgeChallenge(challenge: string, expected: Refusal): void {
  expect(challenge).toMatch(challenges)
  // Bearer comes first where it is allowed: some clients read the first challenge only.
  expect(challenge).toMatch(/\bBearer /.test(challenge) ? /^Bearer .*, DPoP / : /^DPoP /)
  expect(challenge).toMatch(/algs="[A-Za-z0-9 ]+"/)
  expect(challenge).toContain('resource_metadata="')
  if (expected.error === undefined) expect(challenge).not.toContain('error')
  else expect(challenge).toContain(`error="${expected.error}"`)
  for (const part of expected.challenge ?? []) {
    if (typeof part === 'string') expect(challenge).toContain(part)
    else expect(challenge).toMatch(part)
  }
}

/** Whatever the caller sent must not come back in an answer, nor stand in what is logged of it. */
export function judgeSilence(answer: string, request: WireRequest, policy: Policy, nonce = ''): void {
  // The URL of the metadata begins with the audience's, which a token may come close to.
  const known = `${JSON.stringify([policy, denials])} ${answer.match(/resource_metadata=\S+/)?.[0]}`
  // A nonce is sent to be sent back.
  const text = nonce === '' ? answer : answer.replaceAll(nonce, '')
  const leaked = secretsOf(request).filter((secret) => !known.includes(secret) && text.includes(secret))
  expect(leaked).toEqual([])
}

/** Tokens, proofs, and every text inside of them. */
export function secretsOf(request: WireRequest): string[] {
  const found = new Set<string>()
  const fields = request.headers
    .filter(([name]) => /^(authorization|dpop|cookie)$/i.test(name))
    .map(([, value]) => value)
  const parts = [...fields, request.url.split('?')[1] ?? ''].flatMap((field) => field.split(/[\s,.="?&]+/))
  // A million dots hold nothing that could leak.
  for (const part of parts.slice(0, 100)) {
    if (part.length < 8) continue
    found.add(part)
    for (const text of textsIn(part)) found.add(text)
  }
  return [...found]
}

function textsIn(segment: string): string[] {
  const texts: string[] = []
  try {
    JSON.parse(Buffer.from(segment, 'base64url').toString(), (name, value) => {
      // Names and algorithms are the standards' own words.
      if (typeof value === 'string' && value.length >= 7 && name !== 'typ' && name !== 'alg')
        texts.push(value)
      return value
    })
  } catch {
    // Not JSON: its text was added as it is.
  }
  return texts
}
