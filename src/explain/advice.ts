import type { DenialCode } from '../protocol/denials.js'
import type { Cause } from '../refusal.js'
import { type Mender, remedies } from './remedies.js'

/** What to change, and where: the caller, the issuer, or the API. One or two sentences of plain text. */
export function adviceOf(code: DenialCode, cause: Cause | undefined): string {
  const special = cause && specialAdvice[code]?.(cause)
  if (special !== undefined) return special
  const { mender, remedy } = remedies[code]
  return `${placeOf(mender)}: ${withoutFacts(remedy)}`
}

function placeOf(mender: Mender): string {
  if (mender === 'nobody') return 'Nobody'
  return `At the ${mender.replaceAll(/ or (the )?/g, ' or the ')}`
}

/** The documentation points at `facts.cause`; an explanation shows what is in there. */
function withoutFacts(remedy: string): string {
  return remedy
    .split(/(?<=\.) /)
    .filter((sentence) => !sentence.includes('facts.cause'))
    .join(' ')
    .replaceAll('`', '')
}

/** Causes that tell more exactly what is wrong. Undefined: the general remedy of the code. */
const specialAdvice: { readonly [Code in DenialCode]?: (cause: Cause) => string | undefined } = {
  credentials_missing: ({ reason }) =>
    reason.includes('query')
      ? 'At the caller: send the token in the Authorization field, never in the query, where logs keep it.'
      : undefined,
  credentials_ambiguous: ({ reason }) => {
    if (reason.includes('query'))
      return 'At the caller: remove access_token from the query. The Authorization field alone has the token.'
    if (reason.includes('two Authorization'))
      return 'At the caller or a proxy: send one Authorization field. A proxy that adds one of its own has to replace it.'
    return undefined
  },
  algorithm_not_allowed: ({ expected, found }) =>
    expected &&
    `At the issuer: sign access tokens with ${expected}. At the API: add ${found} to token.algorithms, if it is an asymmetric algorithm that this library has.`,
  issuer_not_trusted: ({ reason, expected, found }) => {
    if (reason.includes('slash'))
      return `At the API: write the issuer exactly as its tokens do, ${quoted(found)}. The last slash counts (RFC 9068 section 4).`
    if (reason.includes('field')) return `At the caller: send tokens of this issuer in the field ${expected}.`
    return (
      expected &&
      `At the caller: request the token from ${expected}. At the API: add ${quoted(found)} to issuer, if you trust it.`
    )
  },
  key_not_found: ({ found }) =>
    found === undefined
      ? undefined
      : `At the issuer: publish the key ${quoted(found)} in its JWKS before signing with it, and keep old keys until their tokens have expired. At the API: check that jwksUri is that of this issuer and environment.`,
  audience_mismatch: ({ expected, found }) =>
    `At the caller: request the token with resource=${firstOf(expected)} (RFC 8707). At the API: add ${quoted(found)} to audience, if that is this API.`,
  claims_invalid: ({ claim, found }) => {
    if (claim === 'scope' && found === 'an array')
      return 'At the issuer: send scope as one string, separated by blanks (RFC 6749 section 3.3). At the API: an issuer entry with profile "oauth" takes an array as well.'
    if (claim === 'intent' || claim === 'agent_proof' || claim === 'cnf')
      return `At the issuer: put ${claim} into the token. At the API: for ordinary access tokens set profile "oauth" in the issuer entry.`
    return undefined
  },
  token_expired: () =>
    'At the caller: request a new token. If new tokens are expired too, compare the clocks of issuer and API (NTP).',
  token_not_yet_valid: ({ reason }) => `At the issuer or the API: correct the clock (NTP): ${reason}.`,
  proof_required: ({ reason }) =>
    reason.includes('no key')
      ? 'At the caller: request a token that is bound to a key, with a DPoP proof at the token endpoint. At the API: to accept unbound tokens, set proof.required false and profile "oauth".'
      : 'At the caller: send "Authorization: DPoP <token>" with a proof in the DPoP field. The token is bound to a key, so that Bearer is not enough.',
  proof_malformed: ({ reason }) =>
    reason.includes('more than one')
      ? 'At the caller or a proxy: send one DPoP field with one proof. A retry or a second middleware often adds another.'
      : undefined,
  proof_method_mismatch: ({ expected, found }) =>
    `At the caller: make the proof with htm ${quoted(expected)}; it has ${quoted(found)}. A redirect or a proxy that changes the method has the same effect.`,
  proof_uri_mismatch: (cause) => adviceOfUrl(cause.expected, cause.found),
  proof_stale: ({ reason, claim }) =>
    claim === 'iat'
      ? `At the caller: make a new proof for each request, and correct its clock or the API's (NTP): ${reason}. At the API: with clients whose clock is wrong, set proof.nonce "required".`
      : undefined,
  step_out_of_order: ({ found }) =>
    found === 'nothing'
      ? 'At the issuer: put step_sequence_hash into the token. At the caller: name the completed steps in the token request.'
      : undefined,
  route_not_declared: ({ reason, found }) => {
    if (reason.includes('spelling') || reason.includes('read'))
      return 'At the caller: send the path as the policy writes it: letter case, slashes and percent-encoding count. At the API: an adapter knows how its framework reads paths; without one, pass routing to verify.'
    return reason.startsWith('no key')
      ? `At the API: add a key for ${quoted(found)} to routes, or mount ajwt where it sees that path. At the caller: check method, letter case and slashes of the path.`
      : undefined
  },
  agent_checksum_not_allowed: ({ found }) =>
    `At the API: add ${quoted(found)} to checksums of this agent, if it is the version that was deployed. At the caller: roll the agent back.`,
}

/** A URL that the API knows under another scheme, host or prefix. */
function adviceOfUrl(expected: string | undefined, found: string | undefined): string | undefined {
  const [api, caller] = [firstOf(expected), found ?? '']
  if (!URL.canParse(api) || !URL.canParse(caller)) return undefined
  const [ours, theirs] = [new URL(api), new URL(caller)]
  const prefix = theirs.pathname.endsWith(ours.pathname)
    ? theirs.pathname.slice(0, theirs.pathname.length - ours.pathname.length)
    : undefined
  if (ours.host === theirs.host && ours.protocol !== theirs.protocol) {
    return ours.protocol === 'http:'
      ? `At the API: set publicUrl to ${quoted(theirs.origin + (prefix ?? ''))}. A proxy ends TLS in front of it, so that clients use https.`
      : 'At the caller: make the proof for the https URL. A client behind a proxy that ends TLS may see http instead of https.'
  }
  if (prefix !== undefined && prefix !== '' && ours.host === theirs.host)
    return `At the API: set publicUrl to ${quoted(theirs.origin + prefix)}. A proxy strips the prefix ${quoted(prefix)} in front of it.`
  if (ours.host !== theirs.host)
    return `At the API: set publicUrl to ${quoted(theirs.origin + (prefix ?? ''))}, if clients reach it there. At the caller: make the proof for ${quoted(api)}.`
  return 'At the caller: make the proof for the very URL of the request. Letter case and the last slash count.'
}

function firstOf(texts: string | undefined): string {
  return (texts ?? '').split(' or ', 1)[0] ?? ''
}

function quoted(text: string | undefined): string {
  return `"${text ?? ''}"`
}
