/** More names than these are not listed in a message. */
const maxListed = 30

/** The name that was probably meant; undefined where none is close. */
export function nearest(written: string, names: readonly string[]): string | undefined {
  const lower = written.toLowerCase()
  // One slip in three letters, and never more than three.
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

/** The end of a message: the name that was probably meant, else every name that can stand here. */
export function formatChoice(written: string, names: readonly string[], what: string): string {
  const meant = nearest(written, names)
  if (meant !== undefined) return `; did you mean ${JSON.stringify(meant)}?`
  if (names.length === 0 || names.length > maxListed) return ''
  return `; ${what}${names.length === 1 ? '' : 's'} here: ${names.map((name) => JSON.stringify(name)).join(', ')}`
}

/** Letters put in, left out, replaced, or swapped with the next one. */
function editDistance(one: string, other: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: other.length + 1 }, (_, column) => column)
  for (let row = 1; row <= one.length; row++) {
    const current = [row]
    for (let column = 1; column <= other.length; column++) {
      const isSame = one[row - 1] === other[column - 1]
      let cost = Math.min(
        (last[column] as number) + 1,
        (current[column - 1] as number) + 1,
        (last[column - 1] as number) + (isSame ? 0 : 1),
      )
      const isSwapped =
        row > 1 && column > 1 && one[row - 1] === other[column - 2] && one[row - 2] === other[column - 1]
      if (isSwapped) cost = Math.min(cost, (beforeLast[column - 2] as number) + 1)
      current.push(cost)
    }
    beforeLast = last
    last = current
  }
  return last[other.length] as number
}
