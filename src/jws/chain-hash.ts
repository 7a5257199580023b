import { sha256Hex } from '#runtime'

/**
 * The hash over agent ids and over step ids (draft-goswami-agentic-jwt-01): the first 16 hex digits of
 * SHA-256 over the ids joined by "|". 64 bits are no evidence by themselves, so a chain is also signed, or
 * listed by the policy.
 */
export function hashIds(ids: readonly string[]): string {
  return sha256Hex(ids.join('|')).slice(0, 16)
}
