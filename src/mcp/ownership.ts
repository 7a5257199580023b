import { isPromiseLike, STORE_TIMEOUT_SECONDS, withDeadline } from '../lib/promise.js'
import { describeError, isRefusal, Refusal } from '../refusal.js'
import type { SessionStore } from '../stores/store.js'

/** Sessions and tasks of one owner. No method rejects: a store that fails is a refusal. */
export interface Ownership {
  /** Whether the owner has an id. A refusal if another one has it. */
  check(key: string): Promise<'mine' | 'unknown' | Refusal>
  /** Binds an id to the owner, unless another one has it. */
  bind(key: string): Promise<Refusal | undefined>
  /** Forgets an id. A store that fails keeps it, for its owner alone. */
  forget(key: string): Promise<void>
}

export function createOwnership(store: SessionStore, owner: string): Ownership {
  async function check(key: string): Promise<'mine' | 'unknown' | Refusal> {
    try {
      const found: unknown = await settled(store.get(key))
      if (found === undefined || found === null) return 'unknown'
      if (typeof found !== 'string') throw new TypeError('get must return a string, undefined or null')
      return found === owner ? 'mine' : new Refusal('session_not_yours')
    } catch (error) {
      return unavailable(error)
    }
  }

  return {
    check,
    async bind(key) {
      const known = await check(key)
      if (isRefusal(known)) return known
      if (known === 'mine') return undefined
      try {
        await settled(store.set(key, owner))
        return undefined
      } catch (error) {
        return unavailable(error)
      }
    },
    async forget(key) {
      try {
        await settled(store.delete(key))
      } catch {
        // The session has ended in the app, which answers 404 from now on.
      }
    },
  }
}

function settled<T>(value: T | PromiseLike<T>): T | Promise<T> {
  return isPromiseLike(value) ? withDeadline(value, STORE_TIMEOUT_SECONDS) : value
}

function unavailable(error: unknown): Refusal {
  return new Refusal('internal_error', { reason: `the session store failed: ${describeError(error)}` })
}
