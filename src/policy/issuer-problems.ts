import { mediaType } from '../jws/jws.js'
import { emptyKeySet } from '../keys/key-set.js'
import { isSecureUrl } from '../lib/url.js'
import { otherTokenTypes } from '../protocol/token-types.js'
import { findConstraintProblems } from './constraint.js'
import type { CompiledIssuer, InsecureHttp, IssuerDefaults } from './issuer.js'
import type { IssuerData } from './schema.js'

/** Reports a mistake in an entry, by the path of its place within the entry. */
type Report = (path: readonly PropertyKey[], message: string) => void

/** Reports the mistakes in an entry of `issuer` that its schema cannot see. */
export function findIssuerProblems(
  written: string | IssuerData,
  { token, audiences, profile, jwks, keys }: CompiledIssuer,
  defaults: IssuerDefaults,
  reportPlace: Report,
): void {
  const isUrl = typeof written === 'string'
  const entry: IssuerData = isUrl ? { url: written } : written
  // An entry that is a URL has no members to name.
  const report: Report = (path, message) => reportPlace(isUrl ? [] : path, message)
  checkAddresses(entry, defaults.allowInsecureHttp, report)
  if (jwks === emptyKeySet) report(['jwks'], 'holds no public key that this library verifies with')
  if (profile !== 'oauth') refuseOauthKeys(entry, report)
  // RFC 8693 section 4.1: earlier actors are history, and access is not decided by them.
  if (entry.read?.agent?.startsWith('/act/act'))
    report(['read', 'agent'], 'names an earlier actor, who does not send the request: write "/act/sub"')
  refuseOtherTypes(entry.token?.types ?? [], report)
  const claims = Object.entries(entry.claims ?? {})
  for (const [name, constraint] of claims)
    findConstraintProblems(constraint, (path, message) => report(['claims', name, ...path], message))
  if (profile === 'oauth' && token.mayBeIdToken && claims.length === 0) {
    refuseIdTokens([...audiences], typesAsText(entry, defaults), report)
  }
  if (entry.header !== undefined && (defaults.isProofRequired || profile !== 'oauth'))
    report(['header'], 'is for unbound tokens only: it needs profile "oauth" and proof.required false')
  if (keys.maxStale < keys.maxAge) report(['keys', 'maxStale'], 'must not be less than maxAge')
}

function checkAddresses(entry: IssuerData, allowInsecureHttp: InsecureHttp, report: Report): void {
  const { url, name, jwksUri, jwks } = entry
  if (url === undefined && name === undefined) {
    const what = Object.hasOwn(entry, 'url')
      ? 'is undefined (an environment variable that is not set?)'
      : 'is missing'
    report(['url'], `${what}: it must be a string`)
  }
  if (jwks !== undefined && jwksUri !== undefined)
    report([], 'has both jwks and jwksUri: one of them has to be the keys')
  if (name !== undefined && jwks === undefined && jwksUri === undefined)
    report(['name'], 'needs jwksUri or jwks: the keys of an issuer are found by its URL alone')
  for (const [key, address] of Object.entries({ url, jwksUri })) {
    if (address !== undefined && !isSecureUrl(address, allowInsecureHttp))
      report([key], 'must be an https URL (http on loopback only, else see allowInsecureHttp)')
  }
}

/** The claims of an intent token are fixed by its profile. */
function refuseOauthKeys(entry: IssuerData, report: Report): void {
  if (entry.read !== undefined) report(['read'], 'is for profile "oauth" only')
}

function typesAsText(entry: IssuerData, defaults: IssuerDefaults): string {
  const names = entry.token?.types ?? defaults.token.types ?? []
  return `the types ${names.map((name) => JSON.stringify(name)).join(', ')}`
}

function refuseOtherTypes(types: readonly string[], report: Report): void {
  const others: readonly string[] = otherTokenTypes
  for (const type of types.filter((text) => others.includes(mediaType(text))))
    report(['token', 'types'], `${JSON.stringify(type)} is known to be no access token: remove it`)
}

/** An audience that is no URI may be the client id of ID tokens. */
function refuseIdTokens(audiences: readonly string[], types: string, report: Report): void {
  const audience = audiences.find((text) => !isAbsoluteUri(text))
  if (audience === undefined) return
  report(
    ['claims'],
    `is needed: with ${types} an ID token would be accepted where its client id is the audience ` +
      `${JSON.stringify(audience)}. Name a claim that only access tokens have, such as ` +
      '{ "/scope": { "exists": true } }',
  )
}

function isAbsoluteUri(text: string): boolean {
  return /^[a-z][a-z0-9+.-]*:/i.test(text) && URL.canParse(text)
}
