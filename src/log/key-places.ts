/**
 * Where a key may stand in one sealed segment: the offsets that its key index has for the key's identity.
 *
 * Owns     one block of memory while it is read. One block per lookup mostly, since the directory says which.
 * Holds    An offset is where a record of this identity was when the segment was sealed: whoever reads it there
 *          compares the key, and finds out whether it was committed. A block that is damaged or cannot be read is told,
 *          so that the segment is walked instead: an index is never the reason why a key is not found.
 * Shared   one user. The segment's files may go meanwhile (`scan-host.ts`): that counts as a block that cannot be read.
 */
import { allocate, release } from '../base/arena.ts'
import { errnoOf } from '../base/errors.ts'
import type { KeyHasher } from '../base/siphash.ts'
import { KEY_BLOCK_BYTES, KeyCursor } from '../index/key-index.ts'
import type { KeyIdentity, KeyIndex } from '../index/key-index.ts'
import type { Segment } from '../segment/segment.ts'
import type { PartitionLog } from './log.ts'
import type { ScanHost } from './scan-host.ts'
import { pointRead } from './scan-host.ts'

/** What looking keys up needs of the store. */
export interface KeyHost extends ScanHost {
  /** Under the store's secret. */
  readonly keyHasher: KeyHasher
  /** The key index of a segment; undefined: it has none that can be believed. */
  loadKeys(log: PartitionLog, segment: Segment): KeyIndex | undefined
}

export class KeyPlaces {
  readonly #host: KeyHost
  readonly #segment: Segment
  readonly #index: KeyIndex
  readonly #key: KeyIdentity
  readonly #cursor = new KeyCursor()
  /** The block that is read next, and the last one. */
  #block: number
  readonly #last: number
  readonly #step: 1 | -1

  constructor(host: KeyHost, segment: Segment, index: KeyIndex, key: KeyIdentity, order: 'oldest' | 'newest') {
    const first = index.firstBlock(key.word0)
    const last = index.lastBlock(key.word0)
    this.#host = host
    this.#segment = segment
    this.#index = index
    this.#key = key
    this.#step = order === 'oldest' ? 1 : -1
    this.#block = order === 'oldest' ? first : last
    this.#last = order === 'oldest' ? last : first
  }

  /** The offsets in the next block, in the order asked for; undefined behind the last. */
  async next(): Promise<readonly number[] | 'unreadable' | undefined> {
    if ((this.#last - this.#block) * this.#step < 0 || this.#block < 0) return undefined
    const slab = allocate(KEY_BLOCK_BYTES)
    const bytes = slab.bytes.subarray(0, this.#index.blockLength(this.#block))
    try {
      const got = await this.#read(bytes)
      if (got < bytes.length || !this.#cursor.open(this.#index, this.#block, bytes)) return 'unreadable'
      this.#host.countRead(got)
      this.#block += this.#step
      return this.#offsets()
    } finally {
      release(slab)
    }
  }

  async #read(bytes: Uint8Array): Promise<number> {
    const segment = this.#segment
    segment.retain(this.#host.clock.monotonicMs())
    try {
      const position = this.#index.blockPosition(this.#block)
      return await segment.sidecar.during((file) => pointRead(this.#host, segment, file, bytes, position))
    } catch (error) {
      if (errnoOf(error) === undefined) throw error
      return -1
    } finally {
      segment.release()
    }
  }

  #offsets(): readonly number[] {
    const cursor = this.#cursor
    const offsets: number[] = []
    cursor.seek(this.#key)
    while (cursor.next() && cursor.isOf(this.#key)) offsets.push(this.#segment.baseOffset + cursor.relativeOffset)
    return this.#step === 1 ? offsets : offsets.reverse()
  }
}
