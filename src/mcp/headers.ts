import { jsonRpc, MalformedMessage, type McpMessage, memberOf, paramOf } from './message.js'

/** The fields of a request: a Fetch `Headers`, or the object of Node. */
export type McpHeaders =
  | { get(name: string): string | null }
  | { readonly [name: string]: string | readonly string[] | undefined }

/** The fields of MCP in a request. */
export interface McpFields {
  readonly method: readonly string[]
  readonly name: readonly string[]
  readonly version: readonly string[]
}

/** Reads every value of the fields, without the optional blanks around them (RFC 9110 section 5.5). */
export function readFields(headers: McpHeaders): McpFields {
  const entries: readonly (readonly [string, string | readonly string[] | null | undefined])[] =
    isFetchHeaders(headers) ? fieldNames.map((name) => [name, headers.get(name)]) : Object.entries(headers)
  const valuesOf = (field: string) =>
    entries
      .flatMap(([name, value]) => (name.toLowerCase() === field ? (value ?? []) : []))
      .map((value) => value.replace(/^[\t ]+|[\t ]+$/g, ''))
  const [method, name, version] = fieldNames
  return { method: valuesOf(method), name: valuesOf(name), version: valuesOf(version) }
}

const fieldNames = ['mcp-method', 'mcp-name', 'mcp-protocol-version'] as const

function isFetchHeaders(headers: McpHeaders): headers is { get(name: string): string | null } {
  return typeof headers.get === 'function'
}

/**
 * Compares `Mcp-Method` and `Mcp-Name` with the body (MCP 2026-07-28, "Server Validation"), also where the
 * version header is missing. An absent field is no mismatch: it grants nothing.
 */
export function findHeaderMismatch(
  { method: methods, name: names }: McpFields,
  message: McpMessage | undefined,
): MalformedMessage | undefined {
  const mismatch = (name: string, found: string) =>
    new MalformedMessage(`${name} differs from the body`, jsonRpc.headerMismatch, message?.id, found)
  if (methods.some((value) => value !== message?.method) || methods.length > 1)
    return mismatch('Mcp-Method', methods.join(', '))
  if (names.length === 0) return undefined
  const [name = ''] = names
  const decoded = names.length === 1 ? decodeFieldValue(name) : undefined
  const named = message === undefined ? undefined : nameOf(message)
  return decoded !== undefined && decoded === named ? undefined : mismatch('Mcp-Name', names.join(', '))
}

/** The value that `Mcp-Name` mirrors: the name, URI or task id in the body. */
function nameOf(message: McpMessage): unknown {
  if (message.method === 'completion/complete') {
    const ref = paramOf(message, 'ref')
    return memberOf(ref, memberOf(ref, 'type') === 'ref/resource' ? 'uri' : 'name')
  }
  if (message.method.startsWith('resources/')) return paramOf(message, 'uri')
  return paramOf(message, message.method.startsWith('tasks/') ? 'taskId' : 'name')
}

/** The value of a field, or of its Base64 form `=?base64?...?=`. Undefined if it is neither. */
function decodeFieldValue(value: string): string | undefined {
  if (!/^[\t\x20-\x7e]*$/.test(value)) return undefined
  const encoded = /^=\?base64\?(.*)\?=$/.exec(value)?.[1]
  if (encoded === undefined) return value
  // The canonical form alone: decoders differ in what else they accept.
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$/.test(encoded))
    return undefined
  try {
    const bytes = Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0))
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return undefined
  }
}

const modernSince = '2026-07-28'
const versionKey = 'io.modelcontextprotocol/protocolVersion'

/**
 * Whether the caller speaks revision 2026-07-28 or later, as the body says, else the version header. Only the
 * form of a response depends on it.
 */
export function isModern(fields: McpFields, message: McpMessage | undefined): boolean {
  const meta = message && paramOf(message, '_meta')
  const version = memberOf(meta, versionKey) ?? fields.version[0]
  return typeof version === 'string' && /^\d{4}-\d{2}-\d{2}$/.test(version) && version >= modernSince
}
