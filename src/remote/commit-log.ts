/**
 * Committing to the bucket: what a store's writer has to say about its segments there, chunk after chunk.
 *
 *   1  write down that this chunk is tried       crash: the directory knows it as its own when it finds it
 *   2  a snapshot, when the records are many     crash: an object that nobody names, gone with the next collection
 *   3  create the chunk                          crash: it counts; who attaches next reads it
 *   4  look at the fence: still ours?            only now is it acknowledged
 *   5  after a snapshot: raise the boundary, then delete what it stands for
 *
 * Owns     the order of these, and what is known of the chunk that is under way.
 * Holds    A chunk that was tried is tried again, the same bytes, until it is known to be there or to have lost;
 *          nothing comes before it. A number that somebody else has taken means that the fence is lost, and so does a
 *          fence that moved: whatever was not acknowledged is then rejected, and everything later. Step 4 is what
 *          refuses a writer that slept until its number was deleted and free again. Rule C1: what a group of records
 *          commits must have been cleaned by nothing beyond the ends that it leads to.
 * Shared   `append` is taken at once; flushes run one after the other.
 * Crash    see the steps.
 */
import { VarveError } from '../base/errors.ts'
import { invariant } from '../base/invariant.ts'
import type { ListedObject } from '../base/object-store.ts'
import { SerialQueue } from '../base/serial-queue.ts'
import type { ChunkId, KeptHold } from '../metadata/remote-hold.ts'
import type { RemoteLogs } from '../metadata/remote-logs.ts'
import { encodeRemoteRecord, type RemoteRecord } from '../metadata/remote-record.ts'
import { chunkName, META_PREFIX, parseMetaName, snapshotName } from './bucket-names.ts'
import {
  encodeCommit,
  type CommitObject,
  type JournalPosition,
  type SnapshotPlace,
  type StoredCommit,
} from './commit-chunk.ts'
import type { Claim, Fence } from './fence.ts'
import { objectPath, writeOwn } from './own-write.ts'
import { remoteError } from './remote-error.ts'
import type { Commits } from './recover-commits.ts'

/** So many chunks that were tried may be remembered. */
const MAX_TRIED = 16
const PAGE = 1000

/** A chunk that is being written. */
interface Attempt {
  readonly chunk: CommitObject
  readonly bytes: Uint8Array
  readonly snapshot: { readonly name: string; readonly bytes: Uint8Array } | undefined
  /** It is in the bucket; the fence has not been looked at since. */
  isThere: boolean
}

export class CommitLog {
  /** Everything that was appended: a flush makes it count. */
  readonly logs: RemoteLogs
  readonly #claim: Claim
  readonly #fence: Fence
  readonly #hold: KeptHold
  readonly #flushes = new SerialQueue()
  #newest: StoredCommit | undefined
  #repeatedBytes = 0
  /** Records that no chunk holds yet. */
  #queued: Uint8Array[] = []
  #journal: JournalPosition
  #attempt: Attempt | undefined
  #isCollected: boolean
  #failed: VarveError | undefined

  /** Goes on behind `commits`, which were read under `fence`. Nothing can be appended before `begin`. */
  constructor(claim: Claim, fence: Fence, hold: KeptHold, commits: Commits, journal: JournalPosition) {
    this.logs = commits.logs
    this.#claim = claim
    this.#fence = fence
    this.#hold = hold
    this.#newest = commits.newest
    this.#repeatedBytes = sizeOf(commits.newest?.records ?? [])
    this.#isCollected = (commits.newest?.snapshot?.sequence ?? 1) - 1 <= fence.boundary
    this.#journal = journal
  }

  /** Of the fence: the store's writer epoch from here on. */
  get epoch(): number {
    return this.#fence.epoch
  }

  /** Of the newest chunk that was acknowledged. */
  get sequence(): number {
    return this.#newest?.sequence ?? 0
  }

  /** Resolves if this store may still write. Throws STORE_FENCED. Before anything is deleted from the bucket. */
  async checkFence(signal: AbortSignal): Promise<void> {
    this.#requireLive()
    await this.#remembering(this.#fence.check(signal))
  }

  /** The chunk that starts this writer's epoch. False: an older writer's chunk came first, and must be read. */
  async begin(signal: AbortSignal): Promise<boolean> {
    this.#attempt = this.#newAttempt()
    return this.#remembering(this.#publish(this.#attempt, signal))
  }

  /**
   * Takes records that belong together: no chunk holds a part of them. `journal` is a position taken after everything
   * that they tell of was durable. A flush makes them count.
   */
  append(records: readonly RemoteRecord[], journal: JournalPosition): void {
    this.#requireLive()
    try {
      for (const record of records) this.logs.apply(record)
      for (const { logId, state, cleanedUpTo } of records) {
        const isWithin = state !== 'copy-finished' || (cleanedUpTo ?? 0) <= this.logs.endOf(logId)
        invariant(isWithin, 'a segment that was cleaned by nothing beyond the end of its log in the bucket')
      }
    } catch (error) {
      // What the logs say is now neither the state before nor the one after.
      if (error instanceof VarveError) this.#failed = error
      throw error
    }
    for (const record of records) this.#queued.push(encodeRemoteRecord(record))
    this.#journal = journal
  }

  /**
   * Resolves when everything that was appended is in the bucket and this store still holds the fence. When the bucket
   * is away the records stay, and a later flush goes on. Throws REMOTE_UNAVAILABLE, STORE_FENCED.
   */
  flush(signal: AbortSignal): Promise<void> {
    return this.#flushes.run(async () => {
      this.#requireLive()
      while (this.#attempt !== undefined || this.#queued.length > 0) await this.#commit(signal)
    })
  }

  async #commit(signal: AbortSignal): Promise<void> {
    this.#attempt ??= this.#takeQueued()
    const isOurs = await this.#remembering(this.#publish(this.#attempt, signal))
    if (!isOurs) {
      this.#failed = this.#fence.lose(null, `another writer has written ${chunkName(this.sequence + 1)}`)
      throw this.#failed
    }
    if (!this.#isCollected) await this.#collect(signal)
  }

  /** Steps 1 to 4. False: the number is taken. */
  async #publish(attempt: Attempt, signal: AbortSignal): Promise<boolean> {
    const { store } = this.#claim
    const { chunk, bytes, snapshot } = attempt
    if (!attempt.isThere) {
      await this.#announce(chunk)
      if (snapshot !== undefined) await this.#putSnapshot(snapshot.name, snapshot.bytes, signal)
      const { kind } = await writeOwn(store, chunkName(chunk.sequence), bytes, null, signal)
      if (kind === 'other') {
        await this.#fence.check(signal)
        return false
      }
      attempt.isThere = true
    }
    await this.#fence.check(signal)
    this.#acknowledge(attempt)
    return true
  }

  /** Step 2. Nobody else writes under its name, but who holds the fence now may have collected it already. */
  async #putSnapshot(name: string, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    const { store } = this.#claim
    const written = await writeOwn(store, name, bytes, null, signal)
    if (written.kind === 'ours') return
    await this.#fence.check(signal)
    const message = `${objectPath(store, name)} was there and is gone. Try again later.`
    throw new VarveError('REMOTE_UNAVAILABLE', message, { object: name }, { outcome: 'indefinite' })
  }

  /** Writes down the chunk that is about to be tried, and that the one before is there. */
  async #announce({ sequence, nonce }: ChunkId): Promise<void> {
    const { triedChunks } = this.#hold.value
    if (triedChunks.some((tried) => tried.nonce === nonce)) return
    const open = triedChunks.filter((tried) => tried.sequence > this.sequence).slice(1 - MAX_TRIED)
    const chunk = this.#newest === undefined ? null : { sequence: this.sequence, nonce: this.#newest.nonce }
    await this.#hold.keep({ chunk, triedChunks: [...open, { sequence, nonce }] })
  }

  #acknowledge({ chunk, bytes, snapshot }: Attempt): void {
    this.#newest = { ...chunk, hash: hashOf(bytes) }
    this.#repeatedBytes = sizeOf(chunk.records)
    if (snapshot !== undefined) this.#isCollected = false
    this.#attempt = undefined
  }

  /** What is queued is in the attempt from here on. */
  #takeQueued(): Attempt {
    const attempt = this.#newAttempt()
    this.#queued = []
    return attempt
  }

  /** A chunk of everything that is queued. */
  #newAttempt(): Attempt {
    const { random, storeId } = this.#claim
    const queued = this.#queued
    const sequence = this.sequence + 1
    const head = {
      storeId,
      epoch: this.epoch,
      sequence,
      previous: this.#newest?.hash ?? 0n,
      journal: this.#journal,
      ends: this.logs.logIds().map((logId) => [logId, this.logs.endOf(logId)] as const),
    }
    const before = this.#newest?.snapshot ?? null
    const { repeatedBytes, chunks } = this.#claim.limits
    const isLong = this.#repeatedBytes + sizeOf(queued) > repeatedBytes
    if (!isLong && sequence - (before?.sequence ?? 0) < chunks) {
      const records = [...(this.#newest?.records ?? []), ...queued]
      const chunk: CommitObject = { ...head, kind: 'chunk', nonce: random.bytes(16), snapshot: before, records }
      return { chunk, bytes: encodeCommit(chunk), snapshot: undefined, isThere: false }
    }
    const whole = Array.from(this.logs.records(), encodeRemoteRecord)
    const nonce = random.bytes(16)
    const bytes = encodeCommit({ ...head, kind: 'snapshot', nonce, snapshot: null, records: whole })
    const place: SnapshotPlace = { sequence, nonce, hash: hashOf(bytes) }
    const chunk: CommitObject = { ...head, kind: 'chunk', nonce: random.bytes(16), snapshot: place, records: [] }
    const snapshot = { name: snapshotName(sequence, nonce), bytes }
    return { chunk, bytes: encodeCommit(chunk), snapshot, isThere: false }
  }

  /** Step 5. What goes wrong here is tried again with the next chunk; only a lost fence counts. */
  async #collect(signal: AbortSignal): Promise<void> {
    try {
      const snapshot = this.#newest!.snapshot!
      await this.#fence.raiseBoundary(snapshot.sequence - 1, signal)
      const names = await this.#collectable(snapshot, signal)
      if (names.length > 0) await this.#claim.store.delete(names, { signal })
      this.#isCollected = true
    } catch (error) {
      if (VarveError.is(error, 'STORE_FENCED')) this.#failed = error
    }
  }

  /** Chunks up to the boundary, and every other snapshot that is not newer than the one in use. */
  async #collectable(snapshot: SnapshotPlace, signal: AbortSignal): Promise<string[]> {
    const inUse = snapshotName(snapshot.sequence, snapshot.nonce)
    const isOld = ({ name }: ListedObject): boolean => {
      const parsed = parseMetaName(name)
      if (parsed?.kind === 'chunk') return parsed.sequence < snapshot.sequence
      return parsed !== undefined && parsed.sequence <= snapshot.sequence && name !== inUse
    }
    const page = await this.#claim.store.list(META_PREFIX, { signal, limit: PAGE })
    return page.filter(isOld).map((object) => object.name)
  }

  #requireLive(): void {
    if (this.#failed !== undefined) throw this.#failed
  }

  /** A fence that is lost stays lost. */
  async #remembering<T>(work: Promise<T>): Promise<T> {
    try {
      return await work
    } catch (error) {
      if (VarveError.is(error, 'STORE_FENCED')) this.#failed = error
      throw remoteError(error, null)
    }
  }
}

function sizeOf(records: readonly Uint8Array[]): number {
  let sum = 0
  for (const record of records) sum += record.byteLength
  return sum
}

/** The hash behind the bytes of a chunk or snapshot. */
function hashOf(bytes: Uint8Array): bigint {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getBigUint64(bytes.byteLength - 8)
}
