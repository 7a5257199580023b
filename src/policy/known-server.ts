import { snapshot } from '../lib/plain-data.js'
import { type KnownServer, knownServers } from './known-servers.js'
import type { IssuerData, PolicyData } from './schema.js'

/** The server that `like` names, with the claims for the entry's issuer. */
export function findKnownServer({
  like,
  name,
  url,
}: Readonly<Pick<IssuerData, 'like' | 'name' | 'url'>>): Omit<KnownServer, 'variants'> | undefined {
  if (like === undefined) return undefined
  const { variants = [], ...server }: KnownServer = knownServers[like as keyof typeof knownServers]
  const iss = name ?? url ?? ''
  const variant = variants.find(({ prefix }) => iss.startsWith(prefix))
  return variant === undefined ? server : { ...server, claims: variant.claims }
}

/** Fills in the entry from `like`. Each written key wins: `read`, `token` and `claims` member by member. */
export function withKnownServer(entry: IssuerData): IssuerData {
  const server = findKnownServer(entry)
  if (server === undefined) return entry
  const { like: _, ...written } = entry
  const { profile, token, read, claims } = server
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
