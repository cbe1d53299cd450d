/**
 * The newest live record of every key.
 *
 *   log start ... scan ->  a record is shown when the key map names its offset at this moment  ... end of the fold
 *
 * Owns     the scan, partition after partition, and how it ends.
 * Holds    A key whose record is superseded while the scan is on its way is shown when the scan meets the newer one,
 *          for it goes on until it has reached where the map is. A record that the map does not name is dropped only
 *          when the one that it names has the same key: keys that share an identity are told apart, none is lost.
 * Shared   one consumer. It is iterated once.
 */
import type { LatestReader } from './base/api-read.ts'
import type { LiveRecord, Positions } from './base/api-records.ts'
import { VarveError } from './base/errors.ts'
import type { ResolvedReadOptions } from './base/read-options.ts'
import type { LiveKeys } from './log/live-keys.ts'
import type { PartitionLog } from './log/log.ts'
import { isPointKey, readPoint } from './log/point-read.ts'
import type { RecordDecoder } from './topic-batch.ts'
import { findNewest } from './topic-find-key.ts'
import { completeMap } from './topic-key.ts'
import type { KeySubject } from './topic-key.ts'
import { KeyReads } from './topic-key-reads.ts'
import type { PartitionHost } from './topic-partition.ts'
import { PartitionRead } from './topic-read-partition.ts'
import { recordUnlessSkipped } from './topic-undecodable.ts'

const BLOCK_BYTES = 512 * 1024

export class TopicLatest<K, V, N extends string> implements LatestReader<K, V, N> {
  readonly positions: Positions
  readonly #host: PartitionHost
  readonly #topic: KeySubject
  readonly #logs: readonly PartitionLog[]
  readonly #decoder: RecordDecoder<K, V, N>
  readonly #options: Pick<ResolvedReadOptions, 'onUndecodable' | 'signal'>
  #read: PartitionRead<K, V, N> | undefined
  #isIterated = false
  #closed = false

  /** Throws KEY_MAP_OFF. */
  constructor(
    host: PartitionHost,
    topic: KeySubject,
    decoder: RecordDecoder<K, V, N>,
    options: Pick<ResolvedReadOptions, 'onUndecodable' | 'signal'>,
  ) {
    this.#host = host
    this.#topic = topic
    this.#logs = topic.logs
    this.#decoder = decoder
    this.#options = options
    const positions: Record<number, number> = {}
    for (const log of this.#logs) {
      this.#mapOf(log)
      positions[log.partition] = log.lastStable
    }
    this.positions = Object.freeze(positions)
  }

  [Symbol.asyncIterator](): AsyncIterator<LiveRecord<K, V, N>, undefined, void> {
    if (this.#isIterated || this.#closed) {
      throw new VarveError('CLOSED', 'A reader is iterated once; call latest() again.', { what: 'reader' })
    }
    this.#isIterated = true
    return this.#records()
  }

  close(): Promise<void> {
    this.#closed = true
    this.#read?.close()
    return Promise.resolve()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async *#records(): AsyncGenerator<LiveRecord<K, V, N>, undefined, void> {
    try {
      for (const log of this.#logs) {
        yield* this.#recordsOf(log)
      }
    } finally {
      await this.close()
    }
    return undefined
  }

  async *#recordsOf(log: PartitionLog): AsyncGenerator<LiveRecord<K, V, N>, void, void> {
    const { onUndecodable } = this.#options
    const read = this.#open(log)
    while (!this.#isOver() && read.offset < this.#mapOf(log).foldedTo) {
      const batch = read.take()
      if (batch === undefined) {
        await read.more()
        continue
      }
      for (let index = 0; index < batch.length; index++) {
        const key = batch.keyBytes(index)
        const isNewest = key !== null && this.#isNewest(log, key, batch.offsets[index]!)
        if (isNewest === false || (isNewest !== true && !(await isNewest))) continue
        if (this.#isOver()) return
        if (batch.isTombstone(index)) continue
        const record = recordUnlessSkipped(batch, index, onUndecodable)
        if (record !== undefined) yield record as LiveRecord<K, V, N>
        if (this.#isOver()) return
      }
      read.advance(batch.nextOffset)
    }
    read.close()
  }

  /** It was closed; throws the reason when it was aborted. */
  #isOver(): boolean {
    this.#options.signal?.throwIfAborted()
    return this.#closed
  }

  #open(log: PartitionLog): PartitionRead<K, V, N> {
    this.#read = new PartitionRead(this.#host, log, this.#decoder, {
      isolation: 'read_committed',
      outOfRange: 'earliest',
      blockBytes: BLOCK_BYTES,
      reading: 'ahead',
    })
    this.#read.offset = log.logStart
    return this.#read
  }

  /** The record at `offset` of the key with these bytes; a promise where a look does not tell. */
  #isNewest(log: PartitionLog, key: Uint8Array, offset: number): boolean | Promise<boolean> {
    const keys = this.#mapOf(log)
    const { keyHasher } = this.#host
    keyHasher.hash(key, 0, key.length)
    const found = keys.find(keyHasher)
    if (found === 'absent') return false
    if (found === 'contested') return this.#search(log, key, offset)
    const newest = keys.record.offset
    if (newest === offset) return true
    if (readPoint(this.#host, log, newest, false) === 'elsewhere') return this.#ask(log, key, newest, offset)
    if (isPointKey(key, 0, key.length)) return false
    keyHasher.hash(key, 0, key.length)
    keys.contest(keyHasher)
    return this.#search(log, key, offset)
  }

  /** The same where the record at `newest`, which the map names, cannot be read at once. */
  async #ask(log: PartitionLog, key: Uint8Array, newest: number, offset: number): Promise<boolean> {
    const reads = this.#reads(log, key)
    try {
      const at = await reads.seek(newest)
      if (at === 'key') return false
      if (at === 'other') log.keys?.contest(reads.identity)
      return (await findNewest(reads)) && reads.offset === offset
    } finally {
      reads.close()
    }
  }

  async #search(log: PartitionLog, key: Uint8Array, offset: number): Promise<boolean> {
    const reads = this.#reads(log, key)
    try {
      return (await findNewest(reads)) && reads.offset === offset
    } finally {
      reads.close()
    }
  }

  #reads(log: PartitionLog, key: Uint8Array): KeyReads<K, V, N> {
    return new KeyReads(this.#host, log, this.#decoder, Uint8Array.from(key), this.#options.signal)
  }

  #mapOf(log: PartitionLog): LiveKeys {
    if (log.ended !== undefined) throw log.ended
    return completeMap(this.#topic, log, 'latest')
  }
}
