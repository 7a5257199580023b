import type { DenialCode } from '../protocol/denials.js'
import type { Cause } from '../refusal.js'
import { type Mender, remedies } from './remedies.js'
import { adviceOfKeys } from './upstream-advice.js'
import { adviceOfUrl, firstOf, quoted } from './url-advice.js'

/** The change that is needed at the caller, the issuer, or the API. One or two sentences of plain text. */
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
    if (reason.includes('more than one token'))
      return 'At the caller: send the scheme once and one token, as in "Authorization: DPoP <token>".'
    return undefined
  },
  scheme_unsupported: ({ found }) =>
    found === 'one word'
      ? 'At the caller: write the scheme and one blank in front of the token: "Authorization: DPoP <token>".'
      : `At the caller: send "Authorization: DPoP <token>"; the scheme is ${quoted(found)}. At the API: where another middleware judges that scheme, set anonymous "foreign" on the route.`,
  token_malformed: ({ reason, found }) => adviceOfForm(reason, found),
  token_type_not_allowed: ({ reason, found }) => {
    if (found === 'dpop+jwt')
      return 'At the caller: send the access token after the scheme, and the proof in the DPoP field.'
    if (found === 'nothing' && reason.startsWith('typ'))
      return 'At the API: if this issuer gives its access tokens no typ, add "none" to token.types of its entry, or use like. At the issuer: or set typ to at+jwt (RFC 9068 section 2.1).'
    return undefined
  },
  algorithm_not_allowed: ({ expected, found }) => {
    if (expected === undefined) return undefined
    if (/^(none|HS\d+)$/i.test(found ?? ''))
      return `At the issuer: sign access tokens with an asymmetric algorithm, such as ES256. ${found} is never accepted.`
    return `At the issuer: sign access tokens with ${expected}. At the API: add ${found} to token.algorithms, if it is an asymmetric algorithm that this library has.`
  },
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
  keys_unavailable: ({ reason }) => adviceOfKeys(reason),
  audience_mismatch: ({ expected, found }) => adviceOfAudience(firstOf(expected), (found ?? '').split(' ')),
  claims_invalid: (cause) => adviceOfClaim(cause),
  token_expired: () =>
    'At the caller: request a new token. If new tokens are expired too, compare the clocks of issuer and API (NTP).',
  token_not_yet_valid: ({ reason }) => `At the issuer or the API: correct the clock (NTP): ${reason}.`,
  token_lifetime_exceeded: ({ found }) =>
    Number(found) > 1e11
      ? 'At the issuer: write exp and iat in seconds, not in milliseconds (RFC 7519 section 2).'
      : undefined,
  token_revoked: ({ found }) =>
    `At the API: ${found === undefined ? 'end the revocation' : `end the revocation of ${quoted(found)}`} with unrevoke, if it was a mistake. At the caller: do not try again.`,
  proof_required: ({ reason }) =>
    reason.includes('no key')
      ? 'At the caller: request a token that is bound to a key, with a DPoP proof at the token endpoint. At the API: to accept unbound tokens, set proof.required false and profile "oauth".'
      : 'At the caller: send "Authorization: DPoP <token>" with a proof in the DPoP field. The token is bound to a key, so that Bearer is not enough.',
  proof_malformed: ({ reason, claim, expected }) => {
    if (reason.includes('more than one'))
      return 'At the caller or a proxy: send one DPoP field with one proof. A retry or a second middleware often adds another.'
    if (claim === 'typ')
      return `At the caller: set typ of the proof to ${expected}. Is it a token that is in the DPoP field?`
    return claim === undefined
      ? undefined
      : `At the caller: put ${claim} into the proof, ${expected ?? 'of its type'} (RFC 9449 section 4.2).`
  },
  proof_method_mismatch: ({ expected, found }) =>
    `At the caller: make the proof with htm ${quoted(expected)}; it has ${quoted(found)}. A redirect or a proxy that changes the method has the same effect.`,
  proof_uri_mismatch: (cause) => adviceOfUrl(cause.expected, cause.found),
  proof_stale: ({ reason, claim }) =>
    claim === 'iat'
      ? `At the caller: make a new proof for each request, and correct its clock or the API's (NTP): ${reason}. At the API: with clients whose clock is wrong, set proof.nonce "required".`
      : undefined,
  step_not_allowed: ({ expected, found }) => {
    if (expected === undefined) return undefined
    return found === 'nothing'
      ? `At the caller: name the step ${expected} in the token request, for the token has none.`
      : `At the caller: request a token for the step ${expected}; this one is for ${quoted(found)}. At the API: add the step to the rule, if it may call this route.`
  },
  step_out_of_order: ({ found }) =>
    found === 'nothing'
      ? 'At the issuer: put step_sequence_hash into the token. At the caller: name the completed steps in the token request.'
      : undefined,
  route_not_declared: ({ reason, found }) => {
    if (reason.includes('override'))
      return 'At the caller: send the method itself, without X-HTTP-Method-Override. At the API: mount the middleware that applies overrides in front of ajwt.'
    if (reason.includes('upper case'))
      return 'At the caller: send the method in upper case: methods are case-sensitive (RFC 9110 section 9.1).'
    if (reason.includes('spelling') || reason.includes('read'))
      return 'At the caller: send the path as the policy writes it: letter case, slashes and percent-encoding count. At the API: an adapter knows how its framework reads paths; without one, pass routing to verify.'
    return reason.startsWith('no key')
      ? `At the API: add a key for ${quoted(found)} to routes, or mount ajwt where it sees that path. At the caller: check method, letter case and slashes of the path.`
      : undefined
  },
  agent_not_allowed: ({ claim, found }) =>
    claim === 'agent_proof.registration_id'
      ? `At the API: add ${quoted(found)} to registrationIds of this agent, if that registration is current.`
      : `At the API: add ${quoted(found)} to agents of the rule, if it may call this route.`,
  agent_checksum_not_allowed: ({ found }) =>
    `At the API: add ${quoted(found)} to checksums of this agent, if it is the version that was deployed. At the caller: roll the agent back.`,
}

function adviceOfForm(reason: string, found: string | undefined): string | undefined {
  if (found?.startsWith('5 segments'))
    return 'At the issuer: turn the encryption of access tokens (JWE) off for this API: it reads signed tokens (JWS).'
  if (found?.startsWith('the word'))
    return `At the caller: send a token. The variable that should hold it is empty: the request has ${found}.`
  if (found?.startsWith('no token'))
    return 'At the caller: send the token after the scheme, as in "Authorization: DPoP <token>".'
  return reason.includes('16 KiB')
    ? 'At the issuer: put less into the token: 16 KiB are the most.'
    : undefined
}

/** Audiences that look alike are compared as strings all the same (RFC 9068 section 4). */
function adviceOfAudience(expected: string, found: readonly string[]): string {
  const alike = found.find((audience) => withoutSlash(audience) === withoutSlash(expected))
  const first = alike ?? found[0]
  const why =
    alike === undefined
      ? ''
      : ` ${quoted(alike)} differs from ${quoted(expected)} in the last slash or in letter case, which count.`
  return `At the caller: request the token with resource=${expected} (RFC 8707).${why} At the API: add ${quoted(first)} to audience, if that is this API.`
}

function withoutSlash(url: string): string {
  return url.toLowerCase().replace(/\/$/, '')
}

function adviceOfClaim({ claim, expected, found }: Cause): string | undefined {
  if (claim === undefined || expected === undefined) return undefined
  if (claim === 'scope' && found === 'an array')
    return 'At the issuer: send scope as one string, separated by blanks (RFC 6749 section 3.3). At the API: an issuer entry with profile "oauth" takes an array as well.'
  if (claim === 'intent' || claim === 'agent_proof' || claim === 'cnf')
    return `At the issuer: put ${claim} into the token. At the API: for ordinary access tokens set profile "oauth" in the issuer entry.`
  if (claim.startsWith('cnf.'))
    return 'At the issuer: bind the token to the DPoP key of the client, with cnf.jkt (RFC 9449 section 6.1). This API does not check another binding.'
  return found === 'nothing'
    ? `At the issuer: put ${claim} into the token, ${expected}. At the API: under profile "oauth", read of the issuer entry says where another claim has it.`
    : `At the issuer: correct ${claim} in the token. It has to be ${expected}, and is ${found}.`
}
