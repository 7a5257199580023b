import type { Grant } from '../decision.js'
import { requestWithGrant } from '../engine.js'
import { isObject } from '../lib/objects.js'

/** The `authInfo` that the MCP SDKs pass to their handlers. Structural: this package needs no SDK. */
export interface McpAuthInfo {
  /** Always empty: a handler must not forward the token of its caller. */
  token: ''
  /** `client_id` of the token, or the id of the agent. */
  clientId: string
  scopes: string[]
  /** Seconds since the epoch. */
  expiresAt: number
  extra: { ajwt: Grant }
}

/** The grant as the MCP SDKs expect it in `req.auth`. */
export function mcpAuthInfo(grant: Grant): McpAuthInfo {
  const { client_id: clientId } = grant.claims
  return {
    token: '',
    clientId: typeof clientId === 'string' ? clientId : grant.agent.id,
    scopes: [...grant.scopes],
    expiresAt: grant.token.expiresAt,
    extra: { ajwt: grant },
  }
}

/**
 * The grant in the `authInfo` that the MCP SDKs hand to handlers, as `mcpAuthInfo` has put it there.
 * Undefined for any other object, also for a copy of a grant.
 */
export function mcpGrant(authInfo: { readonly extra?: unknown } | undefined): Grant | undefined {
  const grant = isObject(authInfo?.extra) ? authInfo.extra.ajwt : undefined
  return isKnownGrant(grant) ? grant : undefined
}

function isKnownGrant(value: unknown): value is Grant {
  return isObject(value) && requestWithGrant(value) !== undefined
}
