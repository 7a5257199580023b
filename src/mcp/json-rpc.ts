import type { Answer } from '../decision.js'
import { isObject } from '../lib/objects.js'

/** The messages of a body: one, or those of a batch. */
export function messagesOf(body: unknown): readonly Record<string, unknown>[] {
  return (Array.isArray(body) ? body : [body]).filter(isObject)
}

/** The id of a single request, for an error that answers it. Else null. */
export function requestIdOf(body: unknown): string | number | null {
  const id = isObject(body) && typeof body.method === 'string' ? body.id : undefined
  return typeof id === 'string' || typeof id === 'number' ? id : null
}

/** A JSON-RPC error as an HTTP response. */
export function errorAnswer(
  status: number,
  error: { readonly code: number; readonly message: string },
  id: string | number | null = null,
): Answer {
  return {
    status,
    headers: { 'content-type': 'application/json', 'cache-control': 'no-store' },
    body: JSON.stringify({ jsonrpc: '2.0', error, id }),
  }
}
