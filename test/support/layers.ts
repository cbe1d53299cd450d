/**
 * The house: which part of the source may import which, and how to find breaches and cycles.
 *
 * A part is a folder of `src`, or a file that stands directly in it. A file imports only from rows below its own, or
 * from its own folder; `import type` counts, and so does a file that another thread begins with.
 */

/** Lowest first. Parts of one row do not know each other, save those that are files of `src` itself. */
export const ROWS: readonly (readonly string[])[] = [
  ['base'],
  ['options'],
  ['index', 'metadata'],
  ['segment'],
  ['journal', 'cleaner', 'remote'],
  ['log'],
  ['consumer'],
  ['transaction'],
  ['topic', 'store'],
  ['kafka'],
  ['varve', 's3', 'gcs', 'testing'],
  // The command is a client of the package like any other: it uses the public face.
  ['cli'],
]

/** One import: both files as paths below `src`. */
export interface Edge {
  readonly from: string
  readonly to: string
}

/** The part that a file below `src` belongs to: `log/append.ts` to `log`, `store.ts` and `store-open.ts` to `store`. */
export function partOf(file: string): string {
  return /^[a-z0-9]+/.exec(file)?.[0] ?? file
}

function rowOf(file: string): number {
  return ROWS.findIndex((row) => row.includes(partOf(file)))
}

function isAllowed({ from, to }: Edge): boolean {
  if (partOf(from) === partOf(to)) return true
  const sameRow = rowOf(from) === rowOf(to)
  if (sameRow) return !from.includes('/') && !to.includes('/')
  return rowOf(to) < rowOf(from)
}

/** What breaks the table, one line each. */
export function breaches(files: readonly string[], edges: readonly Edge[]): string[] {
  const homeless = files.filter((file) => rowOf(file) === -1).map((file) => `${file} belongs to no row of the table`)
  const known = edges.filter((edge) => rowOf(edge.from) !== -1)
  return [...homeless, ...known.filter((edge) => !isAllowed(edge)).map(({ from, to }) => `${from} imports ${to}`)]
}

/** A cycle of imports as a path that ends where it began, or undefined. */
export function findCycle(edges: readonly Edge[]): string[] | undefined {
  const targets = new Map<string, string[]>()
  for (const { from, to } of edges) targets.set(from, [...(targets.get(from) ?? []), to])
  const done = new Set<string>()
  const path: string[] = []
  const visit = (file: string): string[] | undefined => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file]
    if (done.has(file)) return undefined
    path.push(file)
    for (const target of targets.get(file) ?? []) {
      const cycle = visit(target)
      if (cycle !== undefined) return cycle
    }
    path.pop()
    done.add(file)
    return undefined
  }
  for (const file of targets.keys()) {
    const cycle = visit(file)
    if (cycle !== undefined) return cycle
  }
  return undefined
}
