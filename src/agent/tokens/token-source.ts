import { BoundedMap } from '../bounded-map.js'
import { sha256base64url } from '../keys/bytes.js'
import type { ResolvedIntent } from '../workflow/intent.js'
import { type AccessToken, requestToken, type TokenEndpoint, tokenParameters } from './token-request.js'

interface SourcedToken {
  value: string
  /** Removes the token from the cache, for one that an API has refused. */
  drop(): void
}

/** Tokens cached by intent until they expire. Calls with the same intent share one token request. */
export interface TokenSource {
  /** `fresh`: requests a token for this call alone, neither from the cache nor stored there. */
  get(intent: ResolvedIntent, checksum: string, fresh: boolean): Promise<SourcedToken>
}

export function createTokenSource(endpoint: TokenEndpoint, max: number, now: () => number): TokenSource {
  const tokens = new BoundedMap<string, AccessToken>(max)
  const pending = new Map<string, Promise<AccessToken>>()

  function request(intent: ResolvedIntent, checksum: string): Promise<AccessToken> {
    const send = () => requestToken(endpoint, intent, checksum)
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
    async get(intent, checksum, fresh) {
      if (fresh) return { value: (await request(intent, checksum)).value, drop: () => {} }
      // Hashed, so that keys stay short and contain no subject token.
      const parameters = tokenParameters(endpoint.agentId, intent, checksum)
      const key = await sha256base64url(`${parameters} ${intent.run?.cacheKey}`)
      const cached = tokens.get(key)
      const live = cached && isLive(cached, now()) ? cached : undefined
      const token = live ?? (await (pending.get(key) ?? requestShared(key, intent, checksum)))
      const drop = () => {
        if (tokens.get(key) === token) tokens.delete(key)
      }
      return { value: token.value, drop }
    },
  }
}

/** Ends two seconds early, for the time in transit. A token without known expiry may have expired. */
function isLive({ expiresAt }: AccessToken, now: number): boolean {
  return expiresAt !== undefined && now < expiresAt - 2000
}
