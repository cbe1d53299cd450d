/**
 * What a group commit asks of its store.
 */
import type { Clock } from '../base/clock.ts'
import type { VarveError } from '../base/errors.ts'
import type { PartitionLog } from './log.ts'
import type { RunTarget } from './run.ts'

export interface CommitHost extends RunTarget {
  readonly clock: Clock
  /** A group of this size or more for one log is synced in its segment. */
  readonly directBytes: number
  /** A durable end that no entry names yet is named within this time. */
  readonly nameEndMs: number
  /** What a log takes at `os` without a wait is written when it comes to this. */
  readonly largeWriteBytes: number
  /** After a large write of this time, large writes leave the thread for a while. */
  readonly slowWriteMs: number
  /** Bytes that one journal entry takes at most, over all logs. */
  readonly groupBytes: number
  /** Throws when another writer has taken the directory over. */
  checkWriter(): void
  /** The readable end of these logs moved: followers in other processes may see it. */
  markLogs(logs: readonly PartitionLog[]): void
  /** Tells whoever listens when that is far longer than a sync should take. */
  syncTook(ms: number): void
  /** Nothing may be written any more. */
  failed(error: VarveError): void
  /** The disk has no room: releases the reserve. */
  diskFull(error: unknown): void
}
