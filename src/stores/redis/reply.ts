/**
 * Converts a reply to the same types for RESP2, RESP3, every type mapping of redis and every option of
 * ioredis: strings for bytes, arrays for sets, a `Map` for an object.
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
