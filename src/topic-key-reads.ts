/**
 * Reads the committed records of one key in one log, by offset or by walking.
 *
 * Owns     the record that it stands on: the batch in memory, and its place there.
 * Holds    A record is one of the key only when its key bytes are the same, whatever an index says. What stands at an
 *          offset is read from the log as it is then: a record that was cleaned away meanwhile is not there.
 * Shared   one user. What it stands on is valid until the next step.
 */
import { errnoOf } from './base/errors.ts'
import type { LogRecord } from './base/api-records.ts'
import type { KeyIdentity, KeyIndex } from './index/key-index.ts'
import { KeyPlaces } from './log/key-places.ts'
import type { KeyHost } from './log/key-places.ts'
import type { PartitionLog } from './log/log.ts'
import type { Segment } from './segment/segment.ts'
import type { RecordDecoder, StoredBatch } from './topic-batch.ts'
import { PartitionRead } from './topic-read-partition.ts'

/** Room for one batch, in most cases. */
const POINT_BLOCK_BYTES = 64 * 1024
const WALK_BLOCK_BYTES = 256 * 1024

/** Whose record stands at an offset. */
export type At = 'key' | 'other' | 'none'

export class KeyReads<K, V, N extends string> {
  readonly log: PartitionLog
  readonly #host: KeyHost
  readonly #decoder: RecordDecoder<K, V, N>
  readonly #key: Uint8Array
  readonly #identity: KeyIdentity
  readonly #signal: AbortSignal | undefined
  #read: PartitionRead<K, V, N> | undefined
  #batch: StoredBatch<K, V, N> | undefined
  #index = 0
  #isStanding = false

  /** `key`, its bytes, is kept. */
  constructor(
    host: KeyHost,
    log: PartitionLog,
    decoder: RecordDecoder<K, V, N>,
    key: Uint8Array,
    signal: AbortSignal | undefined,
  ) {
    this.log = log
    this.#host = host
    this.#decoder = decoder
    this.#key = key
    this.#signal = signal
    host.keyHasher.hash(key, 0, key.length)
    const { word0, word1, word2, word3 } = host.keyHasher
    this.#identity = { word0, word1, word2, word3 }
  }

  /** The batch and the place in it of the record that it stands on. */
  get batch(): StoredBatch<K, V, N> {
    return this.#batch!
  }

  get index(): number {
    return this.#index
  }

  get identity(): KeyIdentity {
    return this.#identity
  }

  /** It stands on a record of the key. */
  get isStanding(): boolean {
    return this.#isStanding
  }

  get offset(): number {
    return this.#batch!.offsets[this.#index]!
  }

  get isTombstone(): boolean {
    return this.#batch!.isTombstone(this.#index)
  }

  /** Decodes the record that it stands on. */
  record(): LogRecord<K, V, N> {
    return this.#batch!.recordAt(this.#index)
  }

  /** Where the key may stand in a segment; undefined: nobody can say, it is to be walked. */
  placesIn(segment: Segment, order: 'oldest' | 'newest'): KeyPlaces | undefined {
    const index = this.#indexOf(segment)
    return index === undefined ? undefined : new KeyPlaces(this.#host, segment, index, this.#identity, order)
  }

  /** Stands on the record at `offset` if it is one of the key; `'none'`: no committed record is there. */
  async seek(offset: number): Promise<At> {
    this.#signal?.throwIfAborted()
    this.#isStanding = false
    if (!this.#takeUpTo(offset)) await this.#openAt(offset)
    const batch = this.#batch
    this.#index = batch === undefined ? -1 : indexOf(batch.offsets, offset)
    if (this.#index === -1) return 'none'
    this.#isStanding = batch!.hasKey(this.#index, this.#key)
    return this.#isStanding ? 'key' : 'other'
  }

  /** Stands on every committed record of the key in `[from, to)`, one after the other. */
  async *walk(from: number, to: number): AsyncGenerator<void, void, void> {
    const read = this.#open(from, 'ahead')
    read.until = to
    do {
      this.#signal?.throwIfAborted()
      for (let batch = read.take(); batch !== undefined; batch = read.take()) {
        this.#batch = batch
        for (let index = 0; index < batch.length; index++) {
          if (!batch.hasKey(index, this.#key)) continue
          this.#index = index
          this.#isStanding = true
          yield
        }
        read.advance(batch.nextOffset)
      }
    } while (await read.more())
    this.close()
  }

  close(): void {
    this.#read?.close()
    this.#read = undefined
    this.#batch = undefined
    this.#isStanding = false
  }

  /** An index that cannot be read is as good as none. */
  #indexOf(segment: Segment): KeyIndex | undefined {
    try {
      return this.#host.loadKeys(this.log, segment)
    } catch (error) {
      const errno = errnoOf(error) ?? errnoOf((error as { cause?: unknown } | null)?.cause)
      if (errno === undefined) throw error
      return undefined
    }
  }

  /** Goes on in memory to the batch that holds `offset`, or would; false: it is elsewhere. */
  #takeUpTo(offset: number): boolean {
    const read = this.#read
    if (read === undefined || offset < read.offset) return false
    while (this.#batch === undefined || this.#batch.nextOffset <= offset) {
      read.advance(offset)
      this.#batch = read.take()
      if (this.#batch === undefined) return false
    }
    return true
  }

  async #openAt(offset: number): Promise<void> {
    const read = this.#open(offset, 'point')
    do {
      this.#batch = read.take()
    } while (this.#batch === undefined && read.offset <= offset && (await read.more()))
  }

  #open(offset: number, reading: 'ahead' | 'point'): PartitionRead<K, V, N> {
    this.close()
    this.#read = new PartitionRead(this.#host, this.log, this.#decoder, {
      isolation: 'read_committed',
      outOfRange: 'earliest',
      blockBytes: reading === 'point' ? POINT_BLOCK_BYTES : WALK_BLOCK_BYTES,
      reading,
    })
    this.#read.offset = offset
    return this.#read
  }
}

/** Where `wanted` stands among rising numbers; -1: nowhere. */
function indexOf(offsets: Float64Array, wanted: number): number {
  let low = 0
  let high = offsets.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (offsets[middle]! < wanted) low = middle + 1
    else high = middle
  }
  return offsets[low] === wanted ? low : -1
}
