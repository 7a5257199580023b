import { type Algorithm, algorithms } from '../jws/algorithms.js'
import { mediaType } from '../jws/jws.js'
import { emptyKeySet, type KeySet, readKeySet } from '../keys/key-set.js'
import { snapshot } from '../lib/plain-data.js'
import { toArray } from '../lib/to-array.js'
import { defaultClockTolerance } from '../protocol/limits.js'
import { noType } from '../protocol/token-types.js'
import { type ConstraintCheck, compileConstraint } from './constraint.js'
import { parsePointer } from './json-pointer.js'
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

/** The pointers of claims in an issuer's tokens. Of several, the first that finds a value counts. */
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

/** Compiles one entry of `issuer` that has `like` filled in. `findIssuerProblems` has the checks. */
export function compileIssuer(written: string | IssuerData, defaults: IssuerDefaults): CompiledIssuer {
  const isUrl = typeof written === 'string'
  // Members are read by name: a snapshot has no prototype that somebody could have polluted.
  const entry = isUrl ? snapshot<IssuerData>({ url: written }) : written
  const { url, jwksUri, profile = 'ajwt' } = entry
  const name = entry.name ?? url ?? ''
  const token = compileTokenRules(snapshot({ ...defaults.token, ...entry.token }))
  const audiences = entry.audience === undefined ? defaults.audiences : toArray(entry.audience)
  return Object.freeze({
    name,
    url,
    profile,
    // Given but unusable: no key, rather than keys fetched from elsewhere.
    jwks: entry.jwks && (readKeySet(entry.jwks) ?? emptyKeySet),
    jwksUri,
    keys: compileKeyOptions(entry),
    token,
    audiences: new Set(audiences),
    sources: compileSources(entry.read ?? snapshot({})),
    constraints: compileConstraints(entry.claims ?? snapshot({})),
    header: entry.header?.toLowerCase(),
    allowInsecureHttp: defaults.allowInsecureHttp,
  })
}

function compileConstraints(claims: NonNullable<IssuerData['claims']>): readonly TokenConstraint[] {
  const constraints = Object.entries(claims).map(([name, constraint]) =>
    Object.freeze({ name, pointer: parsePointer(name), check: compileConstraint(constraint) }),
  )
  return Object.freeze(constraints)
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

function compileKeyOptions({ keys: written }: IssuerData): Required<KeyOptions> {
  return Object.freeze({
    maxAge: written?.maxAge ?? 300,
    cooldown: written?.cooldown ?? 30,
    maxStale: written?.maxStale ?? 3600,
    timeout: written?.timeout ?? 5,
  })
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
