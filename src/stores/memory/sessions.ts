import { Lru } from '#lru'
import type { SessionStore } from '../store.js'
import { warnAboutManyInstances } from './many-instances.js'

export interface MemorySessionOptions {
  /** Ids of all owners. Default: 100,000, about 30 MB. */
  readonly maxEntries?: number
  /** Ids of one owner, so that no owner can push out the sessions of others. Default: 1,000. */
  readonly maxPerOwner?: number
  /** Seconds for which an unused id is kept. Default: a day. */
  readonly ttl?: number
}

/** A session store in memory, made by {@link memorySessionStore}. */
export interface MemorySessionStore extends SessionStore {
  get(id: string): string | undefined
  set(id: string, owner: string): void
  delete(id: string): void
  readonly size: number
}

/**
 * The owners of MCP sessions and tasks, for one process. Forgets the ids that were not used for the longest
 * time when it is full: their sessions get 404, and the clients begin new ones. Throws `TypeError` for a
 * wrong option.
 */
export function memorySessionStore({
  maxEntries = 100_000,
  maxPerOwner = 1000,
  ttl = 24 * 3600,
}: MemorySessionOptions = {}): MemorySessionStore {
  for (const [name, value] of Object.entries({ maxEntries, maxPerOwner, ttl })) {
    if (!(Number.isSafeInteger(value) && value > 0)) {
      throw new TypeError(`memorySessionStore: ${name} must be a whole number greater than 0`)
    }
  }
  const idsByOwner = new Map<string, Set<string>>()
  const entries = new Lru<Entry>(maxEntries, forget)

  function forget({ id, owner }: Entry): void {
    const ids = idsByOwner.get(owner)
    ids?.delete(id)
    if (ids?.size === 0) idsByOwner.delete(owner)
  }

  function remove(entry: Entry | undefined): void {
    if (entry === undefined) return
    entries.delete(entry.id)
    forget(entry)
  }

  /** Uses an entry. The first id of an owner is the one that was unused for the longest time. */
  function touch(entry: Entry): void {
    const { id, owner } = entry
    entry.until = performance.now() + ttl * 1000
    const ids = idsByOwner.get(owner) ?? new Set()
    idsByOwner.set(owner, ids)
    ids.delete(id)
    ids.add(id)
  }

  function find(id: string): Entry | undefined {
    const entry = entries.get(id)
    if (entry === undefined || entry.until > performance.now()) return entry
    remove(entry)
    return undefined
  }

  return {
    get(id) {
      const entry = find(id)
      if (entry !== undefined) touch(entry)
      return entry?.owner
    },
    set(id, owner) {
      warnAboutManyInstances('memorySessionStore', 'a session is unknown to the others')
      const known = find(id)
      if (known !== undefined && known.owner !== owner)
        throw new Error('memorySessionStore: the id has another owner')
      const entry = known ?? { id, owner, until: 0 }
      if (known === undefined) entries.set(id, entry)
      touch(entry)
      const ids = idsByOwner.get(owner)
      const [oldest = id] = ids ?? []
      if (ids !== undefined && ids.size > maxPerOwner) remove(entries.peek(oldest))
    },
    delete(id) {
      remove(entries.peek(id))
    },
    get size() {
      return entries.count
    },
  }
}

interface Entry {
  readonly id: string
  readonly owner: string
  /** Milliseconds on the monotonic clock. */
  until: number
}
