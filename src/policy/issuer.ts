import { type Algorithm, algorithms } from '../jws/algorithms.js'
import { type KeySet, readKeySet } from '../keys/key-set.js'
import { snapshot } from '../lib/plain-data.js'
import { toArray } from '../lib/to-array.js'
import { isSecureUrl } from '../lib/url.js'
import { defaultClockTolerance } from '../protocol/limits.js'
import { noType, otherTokenTypes } from '../protocol/token-types.js'
import { type ConstraintCheck, compileConstraint, findConstraintProblems } from './constraint.js'
import { parsePointer } from './json-pointer.js'
import { type KnownServer, knownServers } from './known-servers.js'
import type { KeyOptions, Profile } from './policy.js'
import type { IssuerData, PolicyData } from './schema.js'

/** Which tokens of an issuer are accepted. */
export interface TokenRules {
  /** Values of `typ`, in lower case and without "application/". */
  readonly types: ReadonlySet<string>
  /** Whether a token without `typ` is accepted. */
  readonly allowsNoType: boolean
  /** Whether ID tokens have an accepted `typ`, so that their claims have to tell them apart. */
  readonly mayBeIdToken: boolean
  readonly algorithms: ReadonlyMap<string, Algorithm>
  /** Seconds. */
  readonly maxLifetime: number
  readonly clockTolerance: number
}

/** A JSON pointer, split. */
export type Pointer = readonly string[]

/** The names of claims in causes, such as `act.sub`; several are joined by "or". */
export interface ClaimNames {
  readonly scope: string
  readonly id: string
  readonly agent: string
  readonly audience: string
  readonly subject: string
}

/**
 * Where the claims of an issuer's tokens are found: of several pointers, the first that finds something
 * counts.
 */
export interface ClaimSources {
  readonly names: ClaimNames
  readonly scope: readonly Pointer[]
  /** `hash`: SHA-256 of the signing input. */
  readonly id: readonly Pointer[] | 'hash'
  /** Undefined: the agent is the subject. */
  readonly agent: Pointer | undefined
  readonly audience: readonly Pointer[]
  readonly subject: readonly Pointer[]
}

/** A constraint that every token of an issuer has to meet. */
export interface TokenConstraint {
  readonly name: string
  readonly pointer: Pointer
  readonly check: ConstraintCheck
}

/** An issuer of the policy, every default filled in. */
export interface CompiledIssuer {
  /** The `iss` of its tokens. */
  readonly name: string
  /** The issuer URL; undefined where the entry has a name and its keys alone. */
  readonly url: string | undefined
  readonly profile: Profile
  readonly jwks: KeySet | undefined
  readonly jwksUri: string | undefined
  readonly keys: Required<KeyOptions>
  readonly token: TokenRules
  readonly audiences: ReadonlySet<string>
  readonly sources: ClaimSources
  readonly constraints: readonly TokenConstraint[]
  /** The request field that its tokens come in, in lower case; undefined: `Authorization`. */
  readonly header: string | undefined
  readonly allowInsecureHttp: InsecureHttp
}

export type InsecureHttp = boolean | readonly string[]

/** The settings of the policy that an entry without its own takes over. */
export interface IssuerDefaults {
  readonly token: NonNullable<PolicyData['token']>
  readonly audiences: readonly string[]
  readonly isProofRequired: boolean
  readonly allowInsecureHttp: InsecureHttp
}

/** Reports a mistake in an entry, by the path of its place within the entry. */
type Report = (path: readonly PropertyKey[], message: string) => void

/** Compiles one entry of `issuer`, and reports its mistakes. */
export function compileIssuer(
  written: string | IssuerData,
  defaults: IssuerDefaults,
  reportPlace: Report,
): CompiledIssuer {
  const isUrl = typeof written === 'string'
  // Members are read by name: a snapshot has no prototype that somebody could have polluted.
  const entry = withKnownServer(isUrl ? snapshot({ url: written }) : written)
  // An entry that is a URL has no members to name.
  const report: Report = (path, message) => reportPlace(isUrl ? [] : path, message)
  const { url, jwksUri, profile = 'ajwt' } = entry
  const name = entry.name ?? url ?? ''
  checkAddresses(entry, defaults.allowInsecureHttp, report)
  const jwks = entry.jwks && readKeySet(entry.jwks)
  if (entry.jwks !== undefined && jwks === undefined)
    report(['jwks'], 'holds no public key that this library verifies with')
  const token = compileTokenRules(snapshot({ ...defaults.token, ...entry.token }))
  const audiences = entry.audience === undefined ? defaults.audiences : toArray(entry.audience)
  if (profile !== 'oauth') refuseOauthKeys(entry, report)
  refuseOtherTypes(entry.token?.types ?? [], report)
  const constraints = compileConstraints(entry.claims ?? snapshot({}), report)
  if (profile === 'oauth' && token.mayBeIdToken && constraints.length === 0) {
    refuseIdTokens(audiences, typesAsText(entry, defaults), report)
  }
  if (entry.header !== undefined && (defaults.isProofRequired || profile !== 'oauth'))
    report(['header'], 'is for unbound tokens only: it needs profile "oauth" and proof.required false')
  return Object.freeze({
    name,
    url,
    profile,
    jwks,
    jwksUri,
    keys: compileKeyOptions(entry, report),
    token,
    audiences: new Set(audiences),
    sources: compileSources(entry.read ?? snapshot({})),
    constraints,
    header: entry.header?.toLowerCase(),
    allowInsecureHttp: defaults.allowInsecureHttp,
  })
}

function compileConstraints(
  claims: NonNullable<IssuerData['claims']>,
  report: Report,
): readonly TokenConstraint[] {
  const constraints = Object.entries(claims).map(([name, constraint]) => {
    findConstraintProblems(constraint, (path, message) => report(['claims', name, ...path], message))
    return Object.freeze({ name, pointer: parsePointer(name), check: compileConstraint(constraint) })
  })
  return Object.freeze(constraints)
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

/** Fills in the entry from `like`. Each written key wins: `read`, `token` and `claims` member by member. */
function withKnownServer(entry: IssuerData): IssuerData {
  if (entry.like === undefined) return entry
  const { profile, token, read, claims }: KnownServer = knownServers[entry.like as keyof typeof knownServers]
  const filled = {
    profile,
    ...entry,
    token: { ...token, ...entry.token },
    ...(read === undefined && entry.read === undefined ? {} : { read: { ...read, ...entry.read } }),
    ...(claims === undefined && entry.claims === undefined ? {} : { claims: { ...claims, ...entry.claims } }),
  }
  return snapshot(filled) as IssuerData
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

export function compileTokenRules({
  types = ['at+jwt'],
  algorithms: names,
  maxLifetime = 300,
  clockTolerance = defaultClockTolerance,
}: NonNullable<IssuerData['token']>): TokenRules {
  const known = types.filter((type) => type !== noType).map(mediaType)
  const allowsNoType = types.includes(noType)
  return Object.freeze({
    types: new Set(known),
    allowsNoType,
    mayBeIdToken: allowsNoType || known.includes('jwt'),
    algorithms: names === undefined ? algorithms : selectAlgorithms(names),
    maxLifetime,
    clockTolerance,
  })
}

/** Rules that accept a token as soon as one of these does; lifetime and tolerance are those of the first. */
export function uniteTokenRules(rules: readonly [TokenRules, ...TokenRules[]]): TokenRules {
  return Object.freeze({
    ...rules[0],
    types: new Set(rules.flatMap(({ types }) => [...types])),
    allowsNoType: rules.some(({ allowsNoType }) => allowsNoType),
    algorithms: new Map(rules.flatMap(({ algorithms }) => [...algorithms])),
  })
}

export function selectAlgorithms(names: readonly string[]): ReadonlyMap<string, Algorithm> {
  return new Map(
    names.flatMap((name) => {
      const algorithm = algorithms.get(name)
      return algorithm === undefined ? [] : [[name, algorithm]]
    }),
  )
}

/** RFC 7515 section 4.1.9. */
function mediaType(type: string): string {
  return type.toLowerCase().replace(/^application\//, '')
}

function isAbsoluteUri(text: string): boolean {
  return /^[a-z][a-z0-9+.-]*:/i.test(text) && URL.canParse(text)
}

function compileKeyOptions({ keys: written }: IssuerData, report: Report): Required<KeyOptions> {
  const keys = {
    maxAge: written?.maxAge ?? 300,
    cooldown: written?.cooldown ?? 30,
    maxStale: written?.maxStale ?? 3600,
    timeout: written?.timeout ?? 5,
  }
  if (keys.maxStale < keys.maxAge) report(['keys', 'maxStale'], 'must not be less than maxAge')
  return Object.freeze(keys)
}

function compileSources(read: NonNullable<IssuerData['read']>): ClaimSources {
  const scope = pointers(read.scope ?? '/scope')
  const id = read.id === 'hash' ? 'hash' : pointers(read.id ?? '/jti')
  const agent = read.agent === undefined ? undefined : parsePointer(read.agent)
  const audience = pointers(read.audience ?? '/aud')
  const subject = pointers(read.subject ?? '/sub')
  const names = Object.freeze({
    scope: nameOf(scope),
    id: id === 'hash' ? id : nameOf(id),
    agent: nameOf(agent === undefined ? subject : [agent]),
    audience: nameOf(audience),
    subject: nameOf(subject),
  })
  return Object.freeze({ names, scope, id, agent, audience, subject })
}

function pointers(written: string | readonly string[]): readonly Pointer[] {
  return toArray(written).map(parsePointer)
}

function nameOf(pointers: readonly Pointer[]): string {
  return pointers.map((pointer) => pointer.join('.')).join(' or ')
}
