import { createHash } from 'node:crypto'

/** A replay key as the verifier makes it: the thumbprint of the agent's key, a dot, the digest of the `jti`. */
export function proofKey(agent: string, jti: string | number): string {
  return `${digest(agent)}.${digest(String(jti))}`
}

export function digest(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}
