import { LRUCache } from 'lru-cache'
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
  const owners = new LRUCache<string, string>({
    max: maxEntries,
    ttl: ttl * 1000,
    updateAgeOnGet: true,
    dispose: (owner, id) => forget(owner, id),
  })

  function forget(owner: string, id: string): void {
    const ids = idsByOwner.get(owner)
    ids?.delete(id)
    if (ids?.size === 0) idsByOwner.delete(owner)
  }

  /** As the last of its owner's ids: the first one is the one that was unused for the longest time. */
  function touch(owner: string, id: string): Set<string> {
    const ids = idsByOwner.get(owner) ?? new Set()
    idsByOwner.set(owner, ids)
    ids.delete(id)
    return ids.add(id)
  }

  return {
    get(id) {
      const owner = owners.get(id)
      if (owner !== undefined) touch(owner, id)
      return owner
    },
    set(id, owner) {
      warnAboutManyInstances('memorySessionStore', 'a session is unknown to the others')
      const known = owners.get(id)
      if (known !== undefined && known !== owner)
        throw new Error('memorySessionStore: the id has another owner')
      if (known === undefined) owners.set(id, owner)
      const ids = touch(owner, id)
      const [oldest] = ids
      if (ids.size > maxPerOwner && oldest !== undefined) owners.delete(oldest)
    },
    delete(id) {
      owners.delete(id)
    },
    get size() {
      return owners.size
    },
  }
}
