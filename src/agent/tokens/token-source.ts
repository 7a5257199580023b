import { BoundedMap } from '../bounded-map.js'
import { sha256base64url } from '../keys/bytes.js'
import type { ResolvedIntent } from '../workflow/intent.js'
import type { Grant } from './grants.js'
import { type AccessToken, isLive } from './token-request.js'

interface SourcedToken {
  value: string
  /** Whether it was requested for this call. */
  isNew: boolean
  /** Removes the token from the cache, for one that an API has refused. */
  drop(): void
}

/** Tokens cached by intent until they expire. Calls with the same intent share one token request. */
export interface TokenSource {
  /** `fresh`: requests a token for this call alone, neither from the cache nor stored there. */
  get(intent: ResolvedIntent, checksum: string, fresh: boolean): Promise<SourcedToken>
}

export function createTokenSource(grant: Grant, max: number, now: () => number): TokenSource {
  const tokens = new BoundedMap<string, AccessToken>(max)
  const pending = new Map<string, Promise<AccessToken>>()

  function request(intent: ResolvedIntent, checksum: string, fresh = false): Promise<AccessToken> {
    const send = () => grant.request(intent, checksum, fresh)
    return intent.run === undefined ? send() : intent.run.serialize(send)
  }

  async function requestAndCache(
    key: string,
    intent: ResolvedIntent,
    checksum: string,
  ): Promise<AccessToken> {
    const token = await request(intent, checksum)
    tokens.set(key, token)
    return token
  }

  function requestShared(key: string, intent: ResolvedIntent, checksum: string): Promise<AccessToken> {
    const token = requestAndCache(key, intent, checksum).finally(() => pending.delete(key))
    pending.set(key, token)
    return token
  }

  return {
    async get(unprepared, checksum, fresh) {
      const intent = await grant.prepare(unprepared)
      if (fresh) {
        const { value } = await request(intent, checksum, true)
        return { value, isNew: true, drop: () => grant.drop(value) }
      }
      // Hashed, so that keys stay short and contain no subject token.
      const parameters = grant.parameters(intent, checksum)
      const key = await sha256base64url(`${parameters} ${intent.run?.cacheKey}`)
      const cached = tokens.get(key)
      const live = cached && isLive(cached, now()) ? cached : undefined
      const token = live ?? (await (pending.get(key) ?? requestShared(key, intent, checksum)))
      const drop = () => {
        if (tokens.get(key) === token) tokens.delete(key)
        grant.drop(token.value)
      }
      return { value: token.value, isNew: live === undefined, drop }
    },
  }
}
