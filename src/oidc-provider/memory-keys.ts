/** A client can prove any number of keys: beyond this many for one registration, the longest unseen is forgotten. */
const MAX_KEYS = 1000

/** Keys that were proved under a registration, each until `maxAge` milliseconds after it was last seen. */
export function memoryKeys(maxAge: number, now: () => number) {
  /** By registration: thumbprint to the time of the last proof, longest unseen first. */
  const seen = new Map<string, Map<string, number>>()

  return {
    saw(registrationId: string, thumbprint: string): void {
      const keys = seen.get(registrationId) ?? new Map<string, number>()
      seen.set(registrationId, keys)
      keys.delete(thumbprint)
      keys.set(thumbprint, now())
      for (const [key, at] of keys) {
        if (keys.size <= MAX_KEYS && now() - at < maxAge) break
        keys.delete(key)
      }
    },
    knows(registrationId: string, thumbprint: string): boolean {
      const at = seen.get(registrationId)?.get(thumbprint)
      return at !== undefined && now() - at < maxAge
    },
    forget: (registrationId: string, thumbprint: string) => void seen.get(registrationId)?.delete(thumbprint),
    end: (registrationId: string) => void seen.delete(registrationId),
  }
}
