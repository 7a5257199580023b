import { snapshot } from '../lib/plain-data.js'
import { type KnownServer, knownServers } from './known-servers.js'
import type { IssuerData, PolicyData } from './schema.js'

/** Fills in the entry from `like`. Each written key wins: `read`, `token` and `claims` member by member. */
export function withKnownServer(entry: IssuerData): IssuerData {
  if (entry.like === undefined) return entry
  const { like, ...written } = entry
  const { profile, token, read, claims }: KnownServer = knownServers[like as keyof typeof knownServers]
  const filled = {
    profile,
    ...written,
    token: { ...token, ...entry.token },
    ...(read === undefined && entry.read === undefined ? {} : { read: { ...read, ...entry.read } }),
    ...(claims === undefined && entry.claims === undefined ? {} : { claims: { ...claims, ...entry.claims } }),
  }
  return snapshot(filled) as IssuerData
}

/** Fills in every entry of `issuer`. */
export function withKnownServers<T extends Pick<Partial<PolicyData>, 'issuer'>>(data: T): T {
  const fill = (entry: string | IssuerData) => (typeof entry === 'string' ? entry : withKnownServer(entry))
  const { issuer } = data
  if (issuer === undefined) return data
  return snapshot({ ...data, issuer: Array.isArray(issuer) ? issuer.map(fill) : fill(issuer) })
}
