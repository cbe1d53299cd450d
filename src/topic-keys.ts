/**
 * Lookups by key as users see them: `get`, `getSync`, `history`, `latest`.
 *
 *   key -> its bytes -> its partition -> key map -> offset -> the record there, if it has the key
 *                                     -> without a map, or where it cannot say: the log is searched
 *
 * Holds    A value is answered only after the key's bytes were compared with those of the record. A hit whose record
 *          has another key is contested with the map, and the log is searched.
 * @hot
 */
import type { DecodeOptions, LatestReader } from './base/api-read.ts'
import type { LiveRecord, LogRecord, Signal } from './base/api-records.ts'
import { optionsObject, signalOf } from './base/checks.ts'
import { undecodable } from './base/codec-face.ts'
import type { Codec } from './base/codec-face.ts'
import { readChannel, traced } from './base/diagnostics.ts'
import { VarveError } from './base/errors.ts'
import { resolveLookupOptions } from './base/read-options.ts'
import type { PartitionLog } from './log/log.ts'
import { isPointKey, pointBytes, pointRecord, readPoint } from './log/point-read.ts'
import { decodeHeaders } from './segment/headers.ts'
import { NO_HEADER_LIST } from './topic-batch.ts'
import type { RecordDecoder } from './topic-batch.ts'
import { findNewest } from './topic-find-key.ts'
import { keyHistory } from './topic-history.ts'
import { completeMap, KeyEncoder } from './topic-key.ts'
import type { KeySubject } from './topic-key.ts'
import { KeyReads } from './topic-key-reads.ts'
import { TopicLatest } from './topic-latest.ts'
import type { PartitionHost } from './topic-partition.ts'

/** `'found'`: the point read stands on it. `'unknown'`: that takes more than a look. */
type Look = 'found' | 'absent' | 'unknown'

export class TopicKeys<K, V, N extends string, KIn> {
  readonly #host: PartitionHost
  readonly #topic: KeySubject
  readonly #decoder: RecordDecoder<K, V, N>
  readonly #key: KeyEncoder<KIn>

  constructor(
    host: PartitionHost,
    topic: KeySubject,
    decoder: RecordDecoder<K, V, N>,
    codec: Codec<unknown, KIn> | undefined,
  ) {
    this.#host = host
    this.#topic = topic
    this.#decoder = decoder
    this.#key = new KeyEncoder(topic, codec)
  }

  get(key: KIn & {}, options: Signal | undefined): Promise<LiveRecord<K, V, N> | undefined> {
    try {
      const signal = options === undefined ? undefined : signalOf(optionsObject(options, ['signal'], '').signal)
      signal?.throwIfAborted()
      const log = this.#locate(key)
      if (!readChannel.hasSubscribers) return this.#get(log, signal)
      const context = () => ({
        directory: this.#host.directory,
        topic: log.topic,
        partition: log.partition,
        what: 'get' as const,
      })
      // Whoever listens may look another key up before this one is.
      return traced(readChannel, context, () => this.#get(this.#locate(key), signal))
    } catch (error) {
      return Promise.reject(error)
    }
  }

  getSync(key: KIn & {}): LiveRecord<K, V, N> | undefined {
    const log = this.#locate(key)
    completeMap(this.#topic, log, 'getSync')
    const look = this.#look(log, true)
    if (look === 'found') return this.#record(log)
    if (look === 'absent') return undefined
    throw wouldBlock(this.#topic.name)
  }

  history(
    key: KIn & {},
    options: (Signal & DecodeOptions) | undefined,
  ): AsyncIterableIterator<LogRecord<K, V, N>, undefined, void> {
    const { signal, onUndecodable } = resolveLookupOptions(options)
    return keyHistory(this.#reads(this.#locate(key), signal), onUndecodable)
  }

  latest(options: (Signal & DecodeOptions) | undefined): LatestReader<K, V, N> {
    return new TopicLatest(this.#host, this.#topic, this.#decoder, resolveLookupOptions(options))
  }

  /** The log of a key, which is encoded then. */
  #locate(key: KIn & {}): PartitionLog {
    this.#key.encode(key, 'key')
    const log = this.#key.place()
    if (log.ended !== undefined) throw log.ended
    return log
  }

  #reads(log: PartitionLog, signal: AbortSignal | undefined): KeyReads<K, V, N> {
    return new KeyReads(this.#host, log, this.#decoder, this.#key.copy(), signal)
  }

  #get(log: PartitionLog, signal: AbortSignal | undefined): Promise<LiveRecord<K, V, N> | undefined> {
    const look = this.#look(log, false)
    if (look === 'found') return Promise.resolve(this.#record(log))
    if (look === 'absent') return Promise.resolve(undefined)
    return this.#search(this.#reads(log, signal))
  }

  /** Asks the key map, and reads what it names; `must`: at once, whatever that takes. */
  #look(log: PartitionLog, must: boolean): Look {
    const { keys } = log
    if (keys === undefined || !keys.isComplete) return 'unknown'
    const { bytes, start, end } = this.#key
    const { keyHasher } = this.#host
    keyHasher.hash(bytes, start, end)
    const found = keys.find(keyHasher)
    if (found !== 'found') return found === 'absent' ? 'absent' : 'unknown'
    const { offset } = keys.record
    if (readPoint(this.#host, log, offset, must) === 'elsewhere') return 'unknown'
    if (isPointKey(bytes, start, end)) return pointRecord.valueStart === -1 ? 'absent' : 'found'
    keyHasher.hash(bytes, start, end)
    keys.contest(keyHasher)
    return 'unknown'
  }

  /** The record that the point read stands on. */
  #record(log: PartitionLog): LiveRecord<K, V, N> {
    const { offset, timestamp, valueStart, valueEnd, headersStart, headersEnd, headerCount } = pointRecord
    const bytes = pointBytes()
    const place = { topic: this.#decoder.topic, partition: log.partition, offset }
    const key = this.#decodeKey(bytes, place)
    try {
      const value = this.#decoder.value(bytes, valueStart, valueEnd)
      const headers = headerCount === 0 ? NO_HEADER_LIST : decodeHeaders(bytes, headersStart, headersEnd, headerCount)
      return { topic: place.topic, partition: place.partition, offset, timestamp, key, value, headers }
    } catch (error) {
      throw undecodable(error, place, 'value')
    }
  }

  #decodeKey(bytes: Buffer, place: { readonly topic: N; readonly partition: number; readonly offset: number }): K {
    const { keyStart, keyEnd } = pointRecord
    try {
      return this.#decoder.key!(bytes, keyStart, keyEnd)
    } catch (error) {
      throw undecodable(error, place, 'key')
    }
  }

  async #search(reads: KeyReads<K, V, N>): Promise<LiveRecord<K, V, N> | undefined> {
    try {
      if (!(await this.#follow(reads)) && !(await findNewest(reads))) return undefined
      return reads.isTombstone ? undefined : (reads.record() as LiveRecord<K, V, N>)
    } finally {
      reads.close()
    }
  }

  /**
   * Stands on the record that the key map names, and on the next one that it names when cleaning has taken that one
   * away for a newer one; false: the map does not say.
   */
  async #follow(reads: KeyReads<K, V, N>): Promise<boolean> {
    const { log, identity } = reads
    for (let last = -1; ;) {
      const { keys } = log
      if (keys?.isComplete !== true || keys.find(identity) !== 'found' || keys.record.offset <= last) return false
      last = keys.record.offset
      const at = await reads.seek(last)
      if (at === 'key') return true
      if (at === 'other') log.keys?.contest(identity)
    }
  }
}

function wouldBlock(topic: string): VarveError<'WOULD_BLOCK'> {
  const message =
    `getSync cannot answer at once for the topic ${topic}: the record has to be looked for, or read, in a way that ` +
    'takes longer. Await get.'
  return new VarveError('WOULD_BLOCK', message, { topic })
}
