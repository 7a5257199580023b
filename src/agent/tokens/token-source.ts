import { LRUCache } from 'lru-cache'
import { sha256base64url } from '../keys/bytes.js'
import type { TokenNeed } from '../workflow/intent.js'
import { type AccessToken, requestToken, type TokenEndpoint, tokenParameters } from './token-request.js'

interface HeldToken {
  value: string
  /** Forgets it: the API refused it. */
  drop(): void
}

/** Tokens by exact intent, each kept no longer than it lives; one request at a time for one intent. */
export interface TokenSource {
  /** `fresh`: asked for this call alone, neither taken from the others nor left to them. */
  get(need: TokenNeed, checksum: string, fresh: boolean): Promise<HeldToken>
}

export function createTokenSource(endpoint: TokenEndpoint, max: number, now: () => number): TokenSource {
  const tokens = new LRUCache<string, AccessToken>({ max })
  const pending = new Map<string, Promise<AccessToken>>()

  function request(need: TokenNeed, checksum: string): Promise<AccessToken> {
    const ask = () => requestToken(endpoint, need, checksum)
    return need.run === undefined ? ask() : need.run.inTurn(ask)
  }

  async function ask(key: string, need: TokenNeed, checksum: string): Promise<AccessToken> {
    const token = await request(need, checksum)
    tokens.set(key, token)
    return token
  }

  function shared(key: string, need: TokenNeed, checksum: string): Promise<AccessToken> {
    const request = ask(key, need, checksum).finally(() => pending.delete(key))
    pending.set(key, request)
    return request
  }

  return {
    async get(need, checksum, fresh) {
      if (fresh) return { value: (await request(need, checksum)).value, drop: () => {} }
      // Hashed: keys stay short, and a token that is exchanged is not kept in them.
      const parameters = tokenParameters(endpoint.agentId, need, checksum)
      const key = await sha256base64url(`${parameters} ${need.run?.cacheKey}`)
      const kept = tokens.get(key)
      const live = kept && isLive(kept, now()) ? kept : undefined
      const token = live ?? (await (pending.get(key) ?? shared(key, need, checksum)))
      const drop = () => {
        if (tokens.get(key) === token) tokens.delete(key)
      }
      return { value: token.value, drop }
    },
  }
}

/** Two seconds short of its end, so that it does not die on the way; of unknown length, it may be over. */
function isLive({ expiresAt }: AccessToken, now: number): boolean {
  return expiresAt !== undefined && now < expiresAt - 2000
}
