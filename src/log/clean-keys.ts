/**
 * The key map of a log while the log is cleaned.
 *
 * Owns     what the map proves to the cleaner (design D8), and what a swap changes in it.
 * Holds    A record goes when the map names a newer one of its key; of an identity that keys share nothing goes.
 *          The map was folded from committed records only, and a swap waits until what was believed is durable (E3).
 *          A checkpoint on the disk that names records which are gone would bring them back at an open: it goes first,
 *          durably, and none is written until the map is as the log.
 * Shared   inside `log.structure`, one swap at a time; appends go on, and what they bring stays.
 */
import type { CleanedGroup } from '../cleaner/clean-group.ts'
import { identityEvidence } from '../cleaner/keep.ts'
import type { KeyEvidence } from '../cleaner/keep.ts'
import type { KeyHasher } from '../base/siphash.ts'
import type { Segment } from '../segment/segment.ts'
import { eachKeyEntry } from './key-entries.ts'
import type { LiveKeys } from './live-keys.ts'
import { readSidecar } from './load-indexes.ts'
import type { PartitionLog } from './log.ts'

const NONE = -1
/** The newest record is not known: an offset that is never believed. */
const UNKNOWN = Infinity
/** Keys that are taken out in one go. */
const KEYS_AT_ONCE = 4096

/** What a complete map says of the newest record of a key. */
export function keyEvidence(hasher: KeyHasher, { map, foldedTo }: LiveKeys): KeyEvidence {
  const newestOffset = (): number => {
    const found = map.get(hasher)
    if (found === 'found') return map.record.offset
    return found === 'absent' ? NONE : UNKNOWN
  }
  return identityEvidence(hasher, newestOffset, foldedTo, (offset) => offset !== UNKNOWN)
}

/** The map, or a checkpoint of it, would differ from the log once the group is in place. */
export function changesKeys({ gone, resized }: CleanedGroup): boolean {
  return resized || (gone !== undefined && gone.count > 0)
}

/** Brings the map in line with the log, in which `segment` has just taken the place of the group. */
export async function settleKeys(
  log: PartitionLog,
  segment: Segment,
  { gone, resized }: CleanedGroup,
  turn: () => Promise<void>,
): Promise<void> {
  const { keys } = log
  if (keys === undefined) return
  for (let i = 0; i < (gone?.count ?? 0) && log.keys === keys; i++) {
    gone!.show(i)
    keys.remove(gone!, gone!.offset)
    if (i % KEYS_AT_ONCE === KEYS_AT_ONCE - 1) await turn()
  }
  const index = resized ? readSidecar(log.fileSystem, segment)?.keyIndex : undefined
  if (index === undefined) return
  const isWanted = (): boolean => log.keys === keys
  await eachKeyEntry(
    log.fileSystem,
    segment,
    index,
    (entry, offset) => keys.resize(entry, offset, entry.recordSize),
    isWanted,
  )
}
