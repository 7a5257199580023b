import { formatChoice } from '../lib/nearest.js'

/** The id of an agent or a person at one issuer. Another issuer can use the same id for somebody else. */
export interface QualifiedId {
  readonly issuer: string
  readonly id: string
}

/** Reads an id of a policy. Returns a message if it is wrong. */
export type ReadId = (entry: string) => QualifiedId | string

/** Ids by issuer. */
export interface IdSet {
  has(issuer: string, id: string): boolean
}

/** For one issuer, ids are written alone. For several, `<issuer> <id>`: no issuer contains a space. */
export function createIdReader(issuers: readonly string[], hasResolver = false): ReadId {
  const only = issuers.length > 1 || hasResolver ? undefined : (issuers[0] ?? '')
  return (entry) => {
    const space = entry.indexOf(' ')
    const prefix = space < 0 ? '' : entry.slice(0, space)
    if (only !== undefined) {
      if (prefix === '' || (prefix !== only && !/^https?:\/\//i.test(prefix)))
        return { issuer: only, id: entry }
      return `must be the id alone, ${JSON.stringify(entry.slice(space + 1))}: the policy has one issuer`
    }
    const id = entry.slice(space + 1)
    if ((issuers.includes(prefix) || (hasResolver && prefix !== '')) && id !== '' && !id.startsWith(' '))
      return { issuer: prefix, id }
    const choice = formatChoice(prefix, issuers, 'issuer')
    return `must be written "<issuer> <id>" with one space, because the policy has several issuers${choice}`
  }
}

/** Leaves out invalid ids. `findNameProblems` reports them. */
export function createIdSet(entries: readonly string[], readId: ReadId): IdSet {
  const idsByIssuer = new Map<string, Set<string>>()
  for (const entry of entries) {
    const read = readId(entry)
    if (typeof read === 'string') continue
    const ids = idsByIssuer.get(read.issuer) ?? new Set()
    idsByIssuer.set(read.issuer, ids.add(read.id))
  }
  return { has: (issuer, id) => idsByIssuer.get(issuer)?.has(id) === true }
}
