/** A store's directory as its bucket sees it: who it is, and what it remembers. */
import { MemoryObjectStore } from '../../src/base/memory-object-store.ts'
import type { ObjectStore } from '../../src/base/object-store.ts'
import { seededRandom } from '../../src/base/seeded-random.ts'
import type { Random } from '../../src/base/random.ts'
import { KeptHold, newRemoteHold, type RemoteHold } from '../../src/metadata/remote-hold.ts'
import type { RemoteSegment } from '../../src/metadata/remote-record.ts'
import { attach } from '../../src/remote/attach.ts'
import type { CommitLog } from '../../src/remote/commit-log.ts'
import { COMMIT_LIMITS, type Claim, type CommitLimits, type OwnRanges } from '../../src/remote/fence.ts'
import { recordOf } from './remote-records.ts'

const STORE_ID = new Uint8Array(16).fill(0xaa)
let seeds = 0

export class Directory {
  place: string
  hold: RemoteHold
  /** Of the last open. */
  epoch = -1
  storeId: Uint8Array = STORE_ID
  ranges: OwnRanges = []
  limits: CommitLimits = COMMIT_LIMITS
  random: Random = seededRandom(++seeds)
  /** How a hold becomes durable, which `makeDurable` does. */
  keep: (makeDurable: () => void) => Promise<void> = async (makeDurable) => makeDurable()

  constructor(place: string) {
    this.place = place
    this.hold = newRemoteHold(place)
  }

  /** A copy of its files as they are now. */
  copy(place: string): Directory {
    const copy = new Directory(place)
    copy.hold = this.hold
    copy.epoch = this.epoch
    copy.storeId = this.storeId
    return copy
  }

  /** Opens the directory and attaches it. */
  async attach(store: ObjectStore, options: { takeOver?: boolean } = {}): Promise<CommitLog> {
    this.epoch++
    const log = await attach(this.claim(store, options), this.keptHold(), { epoch: this.epoch, sequence: 0 }, signal())
    this.epoch = Math.max(this.epoch, log.epoch)
    return log
  }

  claim(store: ObjectStore, options: { takeOver?: boolean } = {}): Claim {
    const { storeId, random, epoch, place, limits } = this
    const takeOver = options.takeOver ?? false
    return { store, storeId, random, epoch, holder: place, takeOver, limits, ownRanges: () => this.ranges }
  }

  keptHold(): KeptHold {
    return new KeptHold(this.hold, this.place, (hold) =>
      this.keep(() => {
        this.hold = hold
      }),
    )
  }
}

export function signal(): AbortSignal {
  return new AbortController().signal
}

/** Commits segments, and waits until that counts. */
export async function commit(log: CommitLog, ...segments: RemoteSegment[]): Promise<void> {
  log.append(
    segments.map((segment) => recordOf('copy-finished', segment)),
    { epoch: log.epoch, sequence: log.sequence + 1 },
  )
  await log.flush(signal())
}

/** Another client of the same bucket. */
export function clientOf(store: MemoryObjectStore): MemoryObjectStore {
  return new MemoryObjectStore(store.bucket)
}

/** Requests of a client, all kinds. */
export function requestsOf(store: MemoryObjectStore): number {
  let sum = 0
  for (const count of store.requests.values()) sum += count
  return sum
}
