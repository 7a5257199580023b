/** The problem of a key of `resources`, or undefined. A final `*` makes it a prefix. */
export function checkResourceKey(key: string): string | undefined {
  const prefix = key.endsWith('*') ? key.slice(0, -1) : key
  if (prefix.includes('*')) return 'may have a "*" only at its end'
  return undefined
}
