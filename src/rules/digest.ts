import type { Json } from '../lib/json.js'
import { resolvePointer } from '../policy/json-pointer.js'
import { describe, Refusal } from '../refusal.js'
import { isInOtherCharset, type RequestContent } from '../request/content.js'
import { type DigestAlgorithm, parseContentDigest } from '../request/content-digest.js'
import type { TokenClaims } from '../token/claims.js'

/** SHA-256 and SHA-512 of the content, base64. */
type Digests = Readonly<Record<DigestAlgorithm, string>>

/**
 * Compares the received content with `Content-Digest` (RFC 9530), and with the digest that the issuer has
 * signed: `action_hash`, or `digest` of one element of `authorization_details` (RFC 9396), of a type where
 * the rule names one.
 */
export async function checkDigest(
  content: RequestContent,
  claims: TokenClaims['claims'],
  type: string | undefined,
): Promise<Refusal | undefined> {
  const coding = content.field('content-encoding')
  if (coding !== undefined && coding.trim().toLowerCase() !== 'identity') {
    // Parsers hand on what they have decompressed, and Content-Digest is over the compressed content.
    return refuse('the digest of compressed content cannot be checked', 'no Content-Encoding', coding)
  }
  if (isInOtherCharset(content)) {
    const reason = 'the content has another charset, in which the approved bytes are another text'
    return refuse(reason, 'charset=utf-8', content.field('content-type'))
  }
  const kept = await content.bytes()
  if (kept === undefined) {
    return refuse(
      'the bytes of the content were not kept: see digest in docs/policy.md',
      content.keptIn,
      undefined,
    )
  }
  const bytes = toBytes(kept, content.field('content-length'))
  if (bytes === undefined) {
    return refuse('the text that was kept is not the content: keep its bytes', 'bytes', 'decoded text')
  }
  const digests = await digestsOf(bytes)
  return checkField(content.field('content-digest'), digests) ?? checkApproved(claims, digests, type)
}

function checkField(field: string | undefined, digests: Digests): Refusal | undefined {
  const expected = `sha-256=:${digests['sha-256']}:`
  if (field === undefined) return refuse('the field Content-Digest is missing', expected, undefined)
  const sent = parseContentDigest(field)
  if (sent === undefined)
    return refuse('the field Content-Digest is malformed', expected, 'a malformed field')
  if (sent.size === 0) return refuse('Content-Digest has neither sha-256 nor sha-512', expected, field)
  for (const [algorithm, digest] of sent) {
    if (digest !== digests[algorithm]) {
      return refuse(`the content has another ${algorithm} than Content-Digest says`, expected, field)
    }
  }
  return undefined
}

/** Every approval that the token has must cover the content: each claim, and one element of the details. */
function checkApproved(
  claims: TokenClaims['claims'],
  digests: Digests,
  type: string | undefined,
): Refusal | undefined {
  const spellings = spellingsOf(digests)
  const approvals = approvalsOf(claims, type)
  if (approvals.length === 0) {
    const place = type === undefined ? 'authorization_details' : `authorization_details of type ${type}`
    const expected = `action_hash, or digest in ${place}`
    return refuse('the token approves no digest of the content', expected, undefined)
  }
  const isCovering = (approved: readonly Json[]) => approved.every((digest) => spellings.has(digest))
  const failed = approvals.find(({ choices }) => !choices.some(isCovering))
  if (failed === undefined) return undefined
  const reason = 'the content is not what was approved: it has another digest'
  return refuse(reason, describe(failed.choices[0]?.[0]), base64url(digests['sha-256']), failed.claim)
}

/** The digests that a claim approves: all of those in one of the choices. */
interface Approval {
  readonly claim: string
  readonly choices: readonly (readonly Json[])[]
}

function approvalsOf(claims: TokenClaims['claims'], type: string | undefined): readonly Approval[] {
  const hashes = [['action_hash'], ['intent', 'action_hash']].flatMap((path) => {
    const hash = resolvePointer(claims, path)
    return hash === undefined ? [] : [{ claim: path.join('.'), choices: [[hash]] }]
  })
  const details = resolvePointer(claims, ['authorization_details'])
  const choices = (Array.isArray(details) ? details : [])
    .filter((detail) => type === undefined || resolvePointer(detail, ['type']) === type)
    .map(digestsIn)
    .filter((approved) => approved.length > 0)
  if (choices.length > 0) return [...hashes, { claim: 'authorization_details', choices }]
  return type === undefined ? hashes : []
}

/** The digests in one element of `authorization_details`. Most elements have none. */
function digestsIn(detail: Json): readonly Json[] {
  return ['digest', 'action_hash'].flatMap((name) => resolvePointer(detail, [name]) ?? [])
}

/** A digest as issuers write it: base64url, hexadecimal, or as in `Content-Digest`. */
function spellingsOf(digests: Digests): ReadonlySet<Json> {
  const spellings = Object.entries(digests).flatMap(([algorithm, digest]) => [
    base64url(digest),
    hex(digest),
    `${algorithm}=:${digest}:`,
  ])
  return new Set(spellings)
}

/**
 * The received bytes. Undefined where the content was decoded to a text that other bytes have too: without a
 * byte order mark, or with replaced bytes.
 */
function toBytes(
  kept: Uint8Array | string,
  contentLength: string | undefined,
): Uint8Array<ArrayBuffer> | undefined {
  if (typeof kept !== 'string') return new Uint8Array(kept)
  const bytes = new TextEncoder().encode(kept)
  const isWhole = contentLength === undefined || contentLength === String(bytes.length)
  return isWhole && !kept.includes('\uFFFD') ? bytes : undefined
}

async function digestsOf(bytes: Uint8Array<ArrayBuffer>): Promise<Digests> {
  const digest = async (name: string) => base64(new Uint8Array(await crypto.subtle.digest(name, bytes)))
  const [sha256, sha512] = await Promise.all([digest('SHA-256'), digest('SHA-512')])
  return { 'sha-256': sha256, 'sha-512': sha512 }
}

function base64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
}

function base64url(digest: string): string {
  return digest.replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '')
}

function hex(digest: string): string {
  return Array.from(atob(digest), (byte) => byte.charCodeAt(0).toString(16).padStart(2, '0')).join('')
}

function refuse(reason: string, expected: string, found: unknown, claim?: string): Refusal {
  return new Refusal('argument_not_allowed', {
    reason: describe(reason),
    ...(claim === undefined ? {} : { claim }),
    expected,
    found: describe(found),
    unverified: true,
  })
}
