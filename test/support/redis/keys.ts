import { createHash } from 'node:crypto'

/** A replay key in the format of the verifier: thumbprint of the agent's key, a dot, hash of the `jti`. */
export function proofKey(agent: string, jti: string | number): string {
  return `${digest(agent)}.${digest(String(jti))}`
}

export function digest(text: string): string {
  return createHash('sha256').update(text).digest('base64url')
}
