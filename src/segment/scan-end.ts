/**
 * How a scan over batches ends, and what follows from it: table T2.
 *
 * Owns     the rows. `batch-scan.ts` finds the facts; who scans asks for the action.
 * Holds    Exactly one row of each table matches whatever is put in: a test puts in everything.
 *
 * A scan stands where the next batch should begin and asks, in the order of the columns:
 *
 *   reach       how much of that batch there is
 *   zeros       nothing but zeros from here on, as far as the buffer shows
 *   magic       it is of version 2
 *   length      at least a header, at most what is allowed
 *   checksum    the CRC matches, or nobody asked
 *   header      its numbers are possible: counts not negative, none beyond 2^53 - 1
 *   rising      its offsets are above all before it
 */

/** Why a scan ended. */
export type ScanEnd =
  /** The file ends where a batch ends. */
  | 'clean-end'
  /** The buffer ends, the file goes on: `needed` bytes show the next batch. Only where the file's end was given. */
  | 'window-end'
  | 'short-header'
  | 'short-batch'
  | 'zero-tail'
  | 'bad-length'
  | 'bad-magic'
  | 'bad-checksum'
  | 'bad-header'
  | 'offset-not-rising'

/** How much there is of the batch that the scan stands at. */
export type Reach =
  /** Nothing, and the file ends. */
  | 'nothing'
  /** A part of the header: the file ends. */
  | 'part-of-header'
  /** Less than a header in the buffer, more in the file. */
  | 'window-in-header'
  /** A header and a part of the records: the file ends. */
  | 'part-of-records'
  /** A header and a part of the records in the buffer, the rest in the file. */
  | 'window-in-records'
  | 'whole'

/** All that decides. What cannot be known at this reach is true. */
export interface ScanFacts {
  readonly reach: Reach
  readonly zeros: boolean
  readonly magic: boolean
  readonly length: boolean
  readonly checksum: boolean
  readonly header: boolean
  readonly rising: boolean
}

/** A row matches when each fact is among those that it names; what it does not name may be anything. */
export interface EndRow {
  readonly reach: readonly Reach[]
  readonly zeros?: boolean
  readonly magic?: boolean
  readonly length?: boolean
  readonly checksum?: boolean
  readonly header?: boolean
  readonly rising?: boolean
  readonly end: ScanEnd | 'batch'
}

const HEADER_SEEN: readonly Reach[] = ['part-of-records', 'window-in-records', 'whole']
const SOUND = { zeros: false, magic: true, length: true } as const

export const END_ROWS: readonly EndRow[] = [
  { reach: ['nothing'], end: 'clean-end' },
  { reach: ['window-in-header'], end: 'window-end' },
  { reach: ['part-of-header'], zeros: false, end: 'short-header' },
  { reach: ['part-of-header'], zeros: true, end: 'zero-tail' },
  { reach: HEADER_SEEN, zeros: true, end: 'zero-tail' },
  { reach: HEADER_SEEN, zeros: false, magic: false, end: 'bad-magic' },
  { reach: HEADER_SEEN, zeros: false, magic: true, length: false, end: 'bad-length' },
  { reach: ['part-of-records'], ...SOUND, end: 'short-batch' },
  { reach: ['window-in-records'], ...SOUND, end: 'window-end' },
  { reach: ['whole'], ...SOUND, checksum: false, end: 'bad-checksum' },
  { reach: ['whole'], ...SOUND, checksum: true, header: false, end: 'bad-header' },
  { reach: ['whole'], ...SOUND, checksum: true, header: true, rising: false, end: 'offset-not-rising' },
  { reach: ['whole'], ...SOUND, checksum: true, header: true, rising: true, end: 'batch' },
]

/** Whether `row` speaks of `facts`. */
export function rowMatches(row: EndRow, facts: ScanFacts): boolean {
  return (
    row.reach.includes(facts.reach) &&
    (row.zeros ?? facts.zeros) === facts.zeros &&
    (row.magic ?? facts.magic) === facts.magic &&
    (row.length ?? facts.length) === facts.length &&
    (row.checksum ?? facts.checksum) === facts.checksum &&
    (row.header ?? facts.header) === facts.header &&
    (row.rising ?? facts.rising) === facts.rising
  )
}

/** What the facts amount to. */
export function scanEndOf(facts: ScanFacts): ScanEnd | 'batch' {
  return END_ROWS.find((row) => rowMatches(row, facts))!.end
}

/** What to do at the end of a scan. */
export type ScanAction =
  /** All is there. */
  | 'done'
  /** Read `needed` bytes from here and scan on. */
  | 'read-on'
  /** Cut the file here, whatever follows, and keep what was cut aside. */
  | 'cut'
  /** It was promised durable: refuse. */
  | 'corrupt'

/** `below`: the scan ended below the durable frontier of its log. */
export interface ActionRow {
  readonly ends: readonly ScanEnd[]
  readonly below: readonly boolean[]
  readonly action: ScanAction
}

const BROKEN: readonly ScanEnd[] = [
  'short-header',
  'short-batch',
  'zero-tail',
  'bad-length',
  'bad-magic',
  'bad-checksum',
  'bad-header',
  'offset-not-rising',
]

export const ACTION_ROWS: readonly ActionRow[] = [
  { ends: ['window-end'], below: [true, false], action: 'read-on' },
  { ends: ['clean-end'], below: [false], action: 'done' },
  // The file ends between two batches, but short of what was promised.
  { ends: ['clean-end'], below: [true], action: 'corrupt' },
  { ends: BROKEN, below: [false], action: 'cut' },
  { ends: BROKEN, below: [true], action: 'corrupt' },
]

/** What follows from a scan that ended with `end`, below or not below the frontier. */
export function scanActionOf(end: ScanEnd, belowFrontier: boolean): ScanAction {
  return ACTION_ROWS.find((row) => row.ends.includes(end) && row.below.includes(belowFrontier))!.action
}
