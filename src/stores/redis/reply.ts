/**
 * A reply in plain types, however the client was told to map them: text for bytes and verbatim strings, arrays for sets,
 * maps and objects with plain values. RESP2, RESP3, node-redis's type mapping and ioredis's options all end up the same.
 */
export function plainReply(reply: unknown): unknown {
  if (typeof reply !== 'object' || reply === null) return typeof reply === 'bigint' ? Number(reply) : reply
  if (reply instanceof Uint8Array) return new TextDecoder().decode(reply)
  if (reply instanceof String) return reply.toString()
  if (Array.isArray(reply)) return reply.map(plainReply)
  if (reply instanceof Set) return [...reply].map(plainReply)
  const pairs = reply instanceof Map ? reply : Object.entries(reply)
  return new Map([...pairs].map(([name, value]) => [plainReply(name), plainReply(value)]))
}
