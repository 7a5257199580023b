import { createHash } from 'node:crypto'

/**
 * The hash that draft-goswami-agentic-jwt-01 takes over agent ids and over step ids: the first 16 hex digits
 * of SHA-256 over the ids joined by "|". Ids hold no "|", so that a list has one hash input of its own; 64 bits
 * are no evidence by themselves, which is why a chain is also signed, or listed by the policy.
 */
export function hashIds(ids: readonly string[]): string {
  return createHash('sha256').update(ids.join('|')).digest('hex').slice(0, 16)
}
