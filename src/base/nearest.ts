/**
 * The valid name that someone most likely meant.
 *
 * Owns     the edit distance and how near is near enough for a suggestion.
 */
import { VarveError } from './errors.ts'

/** The name nearest to `wrong`, ignoring case; undefined when none is near enough to be what was meant. */
export function nearestName(wrong: string, names: readonly string[]): string | undefined {
  const wanted = wrong.slice(0, 64).toLowerCase()
  let best: string | undefined
  let bestDistance = Math.max(2, Math.floor(wanted.length / 3)) + 1
  for (const name of names) {
    const distance = editDistance(wanted, name.toLowerCase())
    if (distance < bestDistance) {
      best = name
      bestDistance = distance
    }
  }
  return best
}

/** Throws INVALID_OPTION for the first key of `given` that is not among `names`; `path` goes before the key. */
export function refuseUnknownKeys(given: object, names: readonly string[], path: string): void {
  for (const key of Object.keys(given)) {
    if (names.includes(key)) continue
    const option = path === '' ? key : `${path}.${key}`
    const nearest = nearestName(key, names)
    const hint = nearest === undefined ? `Known are ${names.join(', ')}.` : `Did you mean ${nearest}?`
    throw new VarveError('INVALID_OPTION', `There is no option ${option}. ${hint}`, { option })
  }
}

/** Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`. */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row++) {
    const current = [row]
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1]
      let least = Math.min(at(last, column) + 1, at(current, column - 1) + 1, at(last, column - 1) + (same ? 0 : 1))
      const swapped = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]
      if (swapped) least = Math.min(least, at(beforeLast, column - 2) + 1)
      current.push(least)
    }
    beforeLast = last
    last = current
  }
  return at(last, b.length)
}

function at(row: readonly number[], column: number): number {
  return row[column] ?? 0
}
