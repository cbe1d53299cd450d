/**
 * What a directory of segments may look like at open, and what each look means.
 *
 * Owns     the decision per base offset, as a table. It reads names only; who opens the log acts on the plan.
 * Holds    Exactly one row matches every input. A replacement is official when its data file is called `.swap` and no
 *          `.cleaned` file stands at its base or below: Kafka decides by the same names (rule E7). The swap renames
 *          the sidecar and the indexes first and the data file last, later segments before earlier ones, and syncs the
 *          directory before an original goes; so what is not official has all its originals.
 * Crash    The plan is the same after a crash in the middle of it: finishing is repeated, dropping too.
 */
import { parseSegmentFileName, type FileState, type SegmentFileKind } from './segment-files.ts'

/** The replacement's data file: none, with whole batches, or damaged. */
export type SwapState = 'none' | 'clean' | 'damaged'

/** What is seen at one base offset. */
export interface StrayInput {
  /** `<base>.log.swap`, scanned only when `cleanedBelow` is false. */
  readonly swap: SwapState
  /** Some `.cleaned` file has this base offset or a lower one. */
  readonly cleanedBelow: boolean
  /** Any other `.cleaned` or `.swap` file at this base offset. */
  readonly copies: boolean
  /** `<base>.log`. */
  readonly data: boolean
  /** A segment must be here: it is at or above the local start and known from elsewhere. */
  readonly expected: boolean
}

export type StrayAction =
  /** The segment stands; nothing to do. */
  | 'keep'
  /** Remove the copies; the segment stands if it is there. */
  | 'drop-copies'
  /** Retire the originals inside its range, then give it its final names; a missing index is rebuilt. */
  | 'finish-swap'
  /** Remove indexes and sidecars that no data file goes with. */
  | 'drop-orphans'
  /** CORRUPT: the replacement was synced before it got this name, and the originals may be half gone. */
  | 'damaged-swap'
  /** CORRUPT: a segment that must be here is not. */
  | 'missing'

export interface StrayRow {
  readonly swap?: readonly SwapState[]
  readonly cleanedBelow?: boolean
  readonly copies?: boolean
  readonly data?: boolean
  readonly expected?: boolean
  readonly action: StrayAction
}

/** A column that a row leaves out matches anything. */
export const STRAY_ROWS: readonly StrayRow[] = [
  { swap: ['clean'], cleanedBelow: false, action: 'finish-swap' },
  { swap: ['damaged'], cleanedBelow: false, action: 'damaged-swap' },
  { swap: ['clean', 'damaged'], cleanedBelow: true, data: true, action: 'drop-copies' },
  { swap: ['clean', 'damaged'], cleanedBelow: true, data: false, expected: false, action: 'drop-copies' },
  { swap: ['clean', 'damaged'], cleanedBelow: true, data: false, expected: true, action: 'missing' },
  { swap: ['none'], copies: true, data: true, action: 'drop-copies' },
  { swap: ['none'], copies: true, data: false, expected: false, action: 'drop-copies' },
  { swap: ['none'], copies: false, data: true, action: 'keep' },
  { swap: ['none'], copies: false, data: false, expected: false, action: 'drop-orphans' },
  { swap: ['none'], data: false, expected: true, action: 'missing' },
]

export function matchesStrayRow(row: StrayRow, input: StrayInput): boolean {
  return (
    (row.swap === undefined || row.swap.includes(input.swap)) &&
    (row.cleanedBelow === undefined || row.cleanedBelow === input.cleanedBelow) &&
    (row.copies === undefined || row.copies === input.copies) &&
    (row.data === undefined || row.data === input.data) &&
    (row.expected === undefined || row.expected === input.expected)
  )
}

/** What to do about one base offset. */
export function decideStray(input: StrayInput): StrayAction {
  return STRAY_ROWS.find((row) => matchesStrayRow(row, input))!.action
}

/** A file of a segment, as it was found. */
export interface FoundFile {
  readonly name: string
  readonly kind: SegmentFileKind
  readonly state: FileState
}

/** All files with one base offset. */
export interface FoundBase {
  readonly baseOffset: number
  readonly files: readonly FoundFile[]
  /** Some `.cleaned` file has this base offset or a lower one. */
  readonly cleanedBelow: boolean
}

export interface SegmentSurvey {
  /** By rising base offset. */
  readonly bases: readonly FoundBase[]
  /** Producer state, at any offset up to the log's end, by rising offset. */
  readonly snapshots: readonly (FoundFile & { readonly baseOffset: number })[]
  /** `.deleted` and `.tmp`, wherever found: removed at every open. */
  readonly leftovers: readonly string[]
  /** Names that no segment has. */
  readonly others: readonly string[]
}

/** Sorts the names in a partition's directory. */
export function surveySegments(names: Iterable<string>): SegmentSurvey {
  const files = new Map<number, FoundFile[]>()
  const snapshots: (FoundFile & { readonly baseOffset: number })[] = []
  const leftovers: string[] = []
  const others: string[] = []
  let lowestCleaned = Infinity
  for (const name of names) {
    const parsed = parseSegmentFileName(name)
    if (parsed === undefined) others.push(name)
    else if (parsed.state === 'deleted' || parsed.state === 'tmp') leftovers.push(name)
    else if (parsed.state === 'final' && isSnapshot(parsed.kind)) snapshots.push({ name, ...parsed })
    else {
      const found = files.get(parsed.baseOffset)
      if (found === undefined) files.set(parsed.baseOffset, [{ name, ...parsed }])
      else found.push({ name, ...parsed })
      if (parsed.state === 'cleaned') lowestCleaned = Math.min(lowestCleaned, parsed.baseOffset)
    }
  }
  const bases = [...files]
    .map(([baseOffset, found]) => ({ baseOffset, files: found, cleanedBelow: lowestCleaned <= baseOffset }))
    .sort((a, b) => a.baseOffset - b.baseOffset)
  snapshots.sort((a, b) => a.baseOffset - b.baseOffset)
  return { bases, snapshots, leftovers, others }
}

/** These stand at any offset: no data file has to go with them. */
function isSnapshot(kind: SegmentFileKind): boolean {
  return kind === 'snapshot' || kind === 'sequences'
}

/** True when the decision about this base offset needs a scan of its `.swap` data file. */
export function needsSwapScan(base: FoundBase): boolean {
  return !base.cleanedBelow && hasFile(base, 'log', 'swap')
}

/** What is seen at `base`. `swapIsClean` is believed only where a scan was needed. */
export function strayInput(base: FoundBase, swapIsClean: boolean, expected: boolean): StrayInput {
  const swap = !hasFile(base, 'log', 'swap') ? 'none' : swapIsClean ? 'clean' : 'damaged'
  const copies = base.files.some((file) => file.state === 'cleaned' || (file.state === 'swap' && file.kind !== 'log'))
  return { swap, cleanedBelow: base.cleanedBelow, copies, data: hasFile(base, 'log', 'final'), expected }
}

function hasFile(base: FoundBase, kind: SegmentFileKind, state: FileState): boolean {
  return base.files.some((file) => file.kind === kind && file.state === state)
}
