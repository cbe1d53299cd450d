/**
 * What a check of a log needs of its store, and how it tells what is wrong.
 */
import type { FileSystem } from '../base/file-system.ts'
import type { KeyHasher } from '../base/siphash.ts'
import type { PartitionLog } from './log.ts'

/** What is wrong with a file; `offset` is the first one concerned. */
export interface Complaint {
  readonly path: string
  readonly what: string
  readonly offset?: number | undefined
  /** Written by a newer version. */
  readonly isNewer?: boolean
}

export interface VerifyHost {
  readonly fileSystem: FileSystem
  /** Where the files of a log are read now: a store that follows another one may change over to other files. */
  filesOf(log: PartitionLog): FileSystem
  readonly deep: boolean
  /** Under the store's secret; undefined where that cannot be read, and where it is not to be deep. */
  readonly keyHasher: KeyHasher | undefined
  /** Throws when nobody wants to know any more. */
  checkAborted(): void
  complain(complaint: Complaint): void
}
