/** Interim */
export function memoryRevocations() {
  const until = new Map<string, number>()
  return {
    isRevoked: (ids: string[]): boolean => ids.some((id) => (until.get(id) ?? 0) * 1000 > Date.now()),
    revoke(id: string, end: number): void {
      until.set(id, end)
    },
  }
}
