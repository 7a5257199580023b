import { Buffer } from 'node:buffer'
import { expect } from 'vitest'
import type { Passed, Refusal } from '../../../fixtures/conformance/row.js'
import type { WireRequest } from '../../../fixtures/kit.js'
import { denials, type Policy } from '../../../src/index.js'

/** A denial as the caller receives it. */
export interface ReceivedDenial {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: unknown
}

/** Checks the requirements of every denial (RFC 6750 section 3, RFC 9449 section 7.1). */
export function assertDenial(received: ReceivedDenial, expected: Refusal): void {
  expect(received.status).toBe(expected.status)
  expect(received.body).toEqual(bodyOf(expected))
  expect(received.headers['cache-control']).toBe('no-store')
  const challenge = received.headers['www-authenticate']
  if (expected.status === 401 || expected.status === 403) assertChallenge(challenge ?? '', expected)
  else expect(challenge).toBeUndefined()
  if (expected.status === 503) expect(received.headers['retry-after']).toMatch(/^\d+$/)
  if (expected.status === 429) {
    expect(received.headers['retry-after']).toMatch(/^[1-9]\d*$/)
    expect(received.headers['ratelimit-policy']).toMatch(/^"[\w.-]+";q=\d+/)
    expect(received.headers.ratelimit).toMatch(/^"[\w.-]+";r=\d+;t=\d+/)
  }
  if (expected.code === 'proof_nonce_required') expect(received.headers['dpop-nonce']).toMatch(/^[\w-]+$/)
  for (const value of Object.values(received.headers)) expect(value).toMatch(/^[\x20-\x7e]*$/)
}

/** The JSON body of a denial. */
export function bodyOf({ code, error }: Refusal): object {
  return { ...(error === undefined ? {} : { error }), error_description: denials[code].description, code }
}

/** Checks the headers that a row requires for an allowed request. */
export function assertHeaders(headers: Readonly<Record<string, string>>, expected: Passed): void {
  for (const [name, pattern] of Object.entries(expected.headers ?? {})) {
    expect(headers[name] ?? '').toMatch(pattern)
  }
}

const parameter = '[a-z_]+="[\\x20\\x21\\x23-\\x5b\\x5d-\\x7e]*"'
const challenges = new RegExp(`^(DPoP|Bearer) ${parameter}(, ${parameter}|, (DPoP|Bearer) ${parameter})*$`)

function assertChallenge(challenge: string, expected: Refusal): void {
  expect(challenge).toMatch(challenges)
  // If Bearer is allowed, it comes first, because some clients read only the first challenge.
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

/** Checks that a response or a log contains nothing secret of the request. */
export function assertNoSecrets(answer: string, request: WireRequest, policy: Policy, nonce = ''): void {
  // The URL of the metadata contains the audience, and an audience in a token may be similar.
  const known = `${JSON.stringify([policy, denials])} ${answer.match(/resource_metadata=\S+/)?.[0]}`
  // The client sends back a nonce, so it is not secret.
  const text = nonce === '' ? answer : answer.replaceAll(nonce, '')
  const leaked = secretsOf(request).filter((secret) => !known.includes(secret) && text.includes(secret))
  expect(leaked).toEqual([])
}

/** Tokens, proofs, and every string in them. */
export function secretsOf(request: WireRequest): string[] {
  const found = new Set<string>()
  const fields = request.headers
    .filter(([name]) => /^(authorization|dpop|cookie)$/i.test(name))
    .map(([, value]) => value)
  const parts = [...fields, request.url.split('?')[1] ?? ''].flatMap((field) => field.split(/[\s,.="?&]+/))
  // Limited, for the row with a million dots.
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
      // Values of typ and alg are not secret.
      if (typeof value === 'string' && value.length >= 7 && name !== 'typ' && name !== 'alg')
        texts.push(value)
      return value
    })
  } catch {
    // Not JSON. The segment itself is already in the list.
  }
  return texts
}
