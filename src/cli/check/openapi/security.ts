import { isObject } from '../../../lib/objects.js'
import { isSecureUrl } from '../../../lib/url.js'
import { type Files, type Located, memberOf, membersOf } from './document.js'

/** The credentials that an operation requires. */
export type Security =
  | { readonly kind: 'none' }
  /** All of these scopes; none: any token. */
  | { readonly kind: 'all'; readonly scopes: readonly string[] }
  /** One of these scopes. */
  | { readonly kind: 'any'; readonly scopes: readonly string[] }

/**
 * Alternatives that need nothing count as no security, since a caller can choose them. Of the others, those
 * with a token count, and the first of these unless each asks for one scope.
 */
export function readSecurity(security: unknown, root: Located, files: Files): Security {
  if (!Array.isArray(security) || security.length === 0) return { kind: 'none' }
  const alternatives = security.filter(isObject)
  if (alternatives.some((alternative) => Object.keys(alternative).length === 0)) return { kind: 'none' }
  const typeOf = (name: string) => typeOfScheme(name, root, files)
  const withToken = alternatives.filter((alternative) =>
    Object.keys(alternative).some((name) => isToken(typeOf(name))),
  )
  const [first = [], ...others] = (withToken.length > 0 ? withToken : alternatives).map((alternative) =>
    scopesOf(alternative, typeOf),
  )
  const all = [...new Set([first, ...others].flat())]
  const isOneOf = all.length > 1 && [first, ...others].every((scopes) => scopes.length === 1)
  return isOneOf ? { kind: 'any', scopes: all } : { kind: 'all', scopes: first }
}

type SchemeType = 'oauth2' | 'openIdConnect' | 'bearer' | 'other' | undefined

/** A scheme that is not declared may be one of tokens. */
function isToken(type: SchemeType): boolean {
  return type !== 'other'
}

/** A scope with a blank stands for several (RFC 6749 section 3.3). */
function scopesOf(
  alternative: Record<string, unknown>,
  typeOf: (name: string) => SchemeType,
): readonly string[] {
  const scopes = Object.entries(alternative).flatMap(([name, needed]) =>
    isToken(typeOf(name)) && Array.isArray(needed) ? needed.filter((scope) => typeof scope === 'string') : [],
  )
  return [...new Set(scopes.flatMap((scope) => scope.split(/\s+/)).filter((scope) => scope !== ''))]
}

function typeOfScheme(name: string, root: Located, files: Files): SchemeType {
  const schemes = schemesOf(root)
  const written = schemes && memberOf(schemes, name)
  const scheme = written && files.follow(written).value
  if (!isObject(scheme)) return undefined
  if (scheme.type === 'oauth2' || scheme.type === 'openIdConnect') return scheme.type
  return scheme.type === 'http' && String(scheme.scheme).toLowerCase() === 'bearer' ? 'bearer' : 'other'
}

function schemesOf(root: Located): Located | undefined {
  const components = memberOf(root, 'components')
  return (components && memberOf(components, 'securitySchemes')) ?? memberOf(root, 'securityDefinitions')
}

/** The issuer that the OpenID and OAuth security schemes point at. */
export function findIssuer(root: Located, files: Files): string | undefined {
  const schemes = schemesOf(root)
  const values = (schemes === undefined ? [] : membersOf(schemes)).map(
    ([, scheme]) => files.follow(scheme).value,
  )
  const urls = values.filter(isObject).flatMap((scheme) => [...metadataUrls(scheme), ...tokenUrls(scheme)])
  return urls.find((url) => URL.canParse(url) && isSecureUrl(url))
}

const metadataPath = /\/\.well-known\/(openid-configuration|oauth-authorization-server)$/

function metadataUrls({ openIdConnectUrl, oauth2MetadataUrl }: Record<string, unknown>): string[] {
  return [openIdConnectUrl, oauth2MetadataUrl].flatMap((url) =>
    typeof url === 'string' ? [url.replace(metadataPath, '')] : [],
  )
}

/** The origin of the token endpoint. Keycloak has several issuers at one origin. */
function tokenUrls(scheme: Record<string, unknown>): string[] {
  const flows = isObject(scheme.flows) ? Object.values(scheme.flows).filter(isObject) : [scheme]
  return flows.flatMap(({ tokenUrl }) => {
    if (typeof tokenUrl !== 'string' || !URL.canParse(tokenUrl)) return []
    const { origin, pathname } = new URL(tokenUrl)
    return [origin + (/^(\/.+)\/protocol\/openid-connect\/token$/.exec(pathname)?.[1] ?? '')]
  })
}
