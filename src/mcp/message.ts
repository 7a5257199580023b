import { hasRepeatedName } from '../jws/strict-json.js'
import { isUnambiguousJson, type Json, type JsonMembers } from '../lib/json.js'
import { isObject, ownMember } from '../lib/objects.js'

/** A JSON-RPC request or notification. */
export interface McpMessage {
  readonly jsonrpc: '2.0'
  /** Undefined for a notification. */
  readonly id?: string | number | undefined
  readonly method: string
  readonly params?: JsonMembers | undefined
}

/** A call, or the response to a request of the server (revisions before 2026-07-28). */
export type ReadMessage =
  | { readonly kind: 'call'; readonly message: McpMessage }
  | { readonly kind: 'response' }

/** HTTP methods of requests that need no message. */
export const methodsWithoutBody: ReadonlySet<string> = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS'])

/** A message that no rule can be applied to. */
export class MalformedMessage {
  readonly reason: string
  /** The JSON-RPC error code. */
  readonly code: number
  readonly id: string | number | undefined
  /** The field that differs from the body. */
  readonly found: string | undefined

  constructor(reason: string, code: number = jsonRpc.invalidRequest, id?: string | number, found?: string) {
    this.reason = reason
    this.code = code
    this.id = id
    this.found = found
  }
}

/** JSON-RPC error codes (JSON-RPC 2.0 section 5.1, MCP 2026-07-28 "Error Codes"). */
export const jsonRpc = Object.freeze({
  parseError: -32700,
  invalidRequest: -32600,
  methodNotFound: -32601,
  invalidParams: -32602,
  headerMismatch: -32020,
})

/**
 * Parses the text of a body. Undefined where a name stands twice in an object: a server behind this one could
 * read the other member. Throws a SyntaxError if it is not JSON.
 */
export function parseMessage(text: string): unknown {
  const value: unknown = JSON.parse(text)
  return hasRepeatedName(text, value) ? undefined : value
}

/**
 * Reads a parsed body. Refuses everything that two servers could read differently: a batch, a message that is
 * both request and response, an id that is null, a member `__proto__`, a number beyond a double.
 */
export function readMessage(body: unknown): ReadMessage | MalformedMessage {
  if (body === undefined || body === null || typeof body !== 'object')
    return new MalformedMessage('no JSON body was parsed', jsonRpc.parseError)
  if (Array.isArray(body)) return new MalformedMessage('a batch is not allowed: send one message')
  if (!isObject(body) || ownMember(body, 'jsonrpc') !== '2.0')
    return new MalformedMessage('the body is not a JSON-RPC 2.0 message')
  if (!isUnambiguousJson(body)) return new MalformedMessage('a member __proto__, or a number beyond a double')
  const id = ownMember(body, 'id')
  if (Object.hasOwn(body, 'id') && !isId(id)) return new MalformedMessage('id is not a string or an integer')
  const ownId = isId(id) ? id : undefined
  const isAnswer = Object.hasOwn(body, 'result') !== Object.hasOwn(body, 'error')
  const hasAnswer = Object.hasOwn(body, 'result') || Object.hasOwn(body, 'error')
  if (!Object.hasOwn(body, 'method')) {
    if (isAnswer && ownId !== undefined) return { kind: 'response' }
    return new MalformedMessage('the message has no method', jsonRpc.invalidRequest, ownId)
  }
  if (hasAnswer) return new MalformedMessage('the message is a request and a response', undefined, ownId)
  return readCall(body, ownId)
}

function readCall(
  body: Record<string, unknown>,
  id: string | number | undefined,
): ReadMessage | MalformedMessage {
  const method = ownMember(body, 'method')
  if (typeof method !== 'string') return new MalformedMessage('method is not a string', undefined, id)
  const params = ownMember(body, 'params')
  if (params !== undefined && !isMembers(params))
    return new MalformedMessage('params is not an object', undefined, id)
  if (id === undefined && !method.startsWith('notifications/'))
    return new MalformedMessage('a request needs an id')
  return { kind: 'call', message: { jsonrpc: '2.0', id, method, params } }
}

function isId(value: unknown): value is string | number {
  return typeof value === 'string' || Number.isSafeInteger(value)
}

/** Whether a value of a checked message is an object. */
export function isMembers(value: unknown): value is JsonMembers {
  return isObject(value)
}

/** A member of the params. */
export function paramOf({ params }: McpMessage, name: string): Json | undefined {
  return memberOf(params, name)
}

/** A member that an object of the message has itself. */
export function memberOf(value: Json | undefined, name: string): Json | undefined {
  return isMembers(value) && Object.hasOwn(value, name) ? value[name] : undefined
}
