/** The members of an object that are strings: only strings can be compared with a claim. */
export function stringMembers(params: unknown): { readonly [name: string]: string } {
  return Object.fromEntries(Object.entries(params ?? {}).filter(([, value]) => typeof value === 'string'))
}
