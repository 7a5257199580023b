import { formatChoice } from '../lib/nearest.js'

/** An agent or a person, with the issuer that vouches for it: another issuer may use the same id for somebody else. */
export interface QualifiedId {
  readonly issuer: string
  readonly id: string
}

/** Reads an id as a policy writes it; a string says what is wrong with it. */
export type ReadId = (entry: string) => QualifiedId | string

/** Ids by issuer. */
export interface IdSet {
  has(issuer: string, id: string): boolean
}

/**
 * With one issuer an id stands alone; with several it is written `<issuer> <id>`, with one blank. No issuer holds a
 * blank, so that the first one ends it.
 */
export function createIdReader(issuers: readonly string[], hasResolver = false): ReadId {
  const only = issuers.length > 1 || hasResolver ? undefined : (issuers[0] ?? '')
  return (entry) => {
    const blank = entry.indexOf(' ')
    const prefix = blank < 0 ? '' : entry.slice(0, blank)
    if (only !== undefined) {
      if (prefix === '' || (prefix !== only && !/^https?:\/\//i.test(prefix)))
        return { issuer: only, id: entry }
      return `must be the id alone, ${JSON.stringify(entry.slice(blank + 1))}: the policy has one issuer`
    }
    const id = entry.slice(blank + 1)
    if ((issuers.includes(prefix) || (hasResolver && prefix !== '')) && id !== '' && !id.startsWith(' '))
      return { issuer: prefix, id }
    return `must be written "<issuer> <id>" with one blank, because the policy has several issuers${formatChoice(
      prefix,
      issuers,
      'issuer',
    )}`
  }
}

/** An id that cannot be read is in no set: where it stands is reported by `findNameProblems`. */
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
