/**
 * Limit per registration, since a client can prove any number of keys. The least recently proved key is
 * deleted.
 */
const MAX_KEYS = 1000

/**
 * Keys that were proved under a registration. Each is kept for `maxAge` milliseconds after its last proof.
 */
export function memoryKeys(maxAge: number, now: () => number) {
  /** By registration: thumbprint to the time of the last proof, least recent first. */
  const proved = new Map<string, Map<string, number>>()

  return {
    add(registrationId: string, thumbprint: string): void {
      const keys = proved.get(registrationId) ?? new Map<string, number>()
      proved.set(registrationId, keys)
      keys.delete(thumbprint)
      keys.set(thumbprint, now())
      for (const [key, at] of keys) {
        if (keys.size <= MAX_KEYS && now() - at < maxAge) break
        keys.delete(key)
      }
    },
    has(registrationId: string, thumbprint: string): boolean {
      const at = proved.get(registrationId)?.get(thumbprint)
      return at !== undefined && now() - at < maxAge
    },
    delete: (registrationId: string, thumbprint: string) =>
      void proved.get(registrationId)?.delete(thumbprint),
    deleteAll: (registrationId: string) => void proved.delete(registrationId),
  }
}
