/** The maximum number of names listed in a message. */
const maxListed = 30

/** The name that is closest to a misspelt one. Undefined if none is close. */
export function nearest(written: string, names: readonly string[]): string | undefined {
  const lower = written.toLowerCase()
  // One typo for each three letters, at most three.
  const limit = Math.min(3, Math.max(1, Math.floor(written.length / 3)))
  let best: string | undefined
  let bestDistance = limit + 1
  for (const name of names) {
    if (Math.abs(name.length - written.length) > limit) continue
    const distance = editDistance(lower, name.toLowerCase())
    if (distance < bestDistance) {
      best = name
      bestDistance = distance
    }
  }
  return best
}

/** The end of a message: "did you mean", or the list of possible names. */
export function formatChoice(written: string, names: readonly string[], noun: string): string {
  const suggestion = nearest(written, names)
  if (suggestion !== undefined) return `; did you mean ${JSON.stringify(suggestion)}?`
  if (names.length === 0 || names.length > maxListed) return ''
  const listed = names.map((name) => JSON.stringify(name)).join(', ')
  return `; ${noun}${names.length === 1 ? '' : 's'} here: ${listed}`
}

/** Counts letters inserted, deleted, replaced, or swapped with the next one (optimal string alignment). */
function editDistance(one: string, other: string): number {
  const rows: number[][] = []
  const at = (row: number, column: number) => rows[row]?.[column] ?? Number.POSITIVE_INFINITY
  for (let row = 0; row <= one.length; row++) {
    const current: number[] = []
    rows.push(current)
    for (let column = 0; column <= other.length; column++) {
      if (row === 0 || column === 0) {
        current.push(row + column)
        continue
      }
      const isSame = one[row - 1] === other[column - 1]
      const isSwapped = one[row - 1] === other[column - 2] && one[row - 2] === other[column - 1]
      current.push(
        Math.min(
          at(row - 1, column) + 1,
          at(row, column - 1) + 1,
          at(row - 1, column - 1) + (isSame ? 0 : 1),
          isSwapped ? at(row - 2, column - 2) + 1 : Number.POSITIVE_INFINITY,
        ),
      )
    }
  }
  return at(one.length, other.length)
}
