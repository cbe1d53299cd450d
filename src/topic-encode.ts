/**
 * From a record as given to a record as stored: codecs, headers, the rules of the topic.
 *
 * Owns     the scratch that keys and values are encoded into, reused from one append to the next.
 * Holds    Whatever is refused is refused before anything is written, with the record's place among those given.
 *          A draft is valid until the next `encode`.
 * @hot
 */
import type { NewRecord } from './base/api-records.ts'
import { ByteSink } from './base/byte-sink.ts'
import { allowsNull, encoderOf, recordRefused } from './base/codec-face.ts'
import type { Codec, Encoder } from './base/codec-face.ts'
import { VarveError } from './base/errors.ts'
import { partitionOfKey, type StickyPartition } from './base/partitioner.ts'
import { checkedHeaders } from './base/record-headers.ts'
import { parseInteger } from './base/units.ts'
import type { RecordDraft } from './log/append.ts'
import { isCompacted } from './metadata/topic-config.ts'
import type { ResolvedTopicConfig } from './metadata/topic-config.ts'
import { HeaderWriter, NO_HEADERS } from './segment/headers.ts'

/** Largest time that a JavaScript Date can show. */
const MAX_TIMESTAMP = 8_640_000_000_000_000

/** What is known of the topic. */
export interface EncodeSubject {
  readonly name: string
  readonly partitions: number
  readonly config: ResolvedTopicConfig
}

export class RecordEncoder<KIn, VIn> {
  readonly #topic: EncodeSubject
  readonly #key: Encoder<KIn & {}> | undefined
  readonly #nullKeys: boolean
  readonly #value: Encoder<VIn & {}>
  readonly #sticky: StickyPartition
  readonly #sink = new ByteSink()
  readonly #headers = new HeaderWriter()
  /** The partition of the record encoded last. */
  partition = 0

  constructor(
    topic: EncodeSubject,
    key: Codec<unknown, KIn> | undefined,
    value: Codec<unknown, VIn>,
    sticky: StickyPartition,
  ) {
    this.#topic = topic
    this.#key = key === undefined ? undefined : encoderOf(key)
    this.#nullKeys = key === undefined || allowsNull(key)
    this.#value = encoderOf(value)
    this.#sticky = sticky
  }

  /** Encodes `record`, the `index`th of the call, into `draft`; `now` is the time of the append. */
  encode(record: NewRecord<KIn, VIn>, index: number, now: number, draft: RecordDraft): void {
    this.#sink.clear()
    if (typeof record !== 'object' || record === null) throw this.#refuse(index, 'a record is an object with a value')
    this.#encodeKey(record.key, index, draft)
    this.#encodeValue(record.value, index, draft)
    this.#encodeHeaders(record, index, draft)
    draft.timestamp = this.#timestamp(record.timestamp, now, index)
    this.partition = this.#place(record.partition, draft, index)
  }

  #encodeKey(key: KIn | null | undefined, index: number, draft: RecordDraft): void {
    if (key === null || key === undefined) {
      if (!this.#nullKeys) throw this.#refuse(index, 'its key is missing, and the topic has a key codec')
      if (isCompacted(this.#topic.config)) throw this.#refuse(index, 'a compacted topic needs a key in every record')
      draft.key = null
      draft.keyStart = draft.keyEnd = 0
      return
    }
    if (this.#key === undefined) throw this.#refuse(index, 'it has a key, and the topic has no key codec')
    const start = this.#sink.position
    const bytes = this.#encodeInto(this.#key, key, index, 'key')
    draft.key = bytes ?? this.#sink.bytes
    draft.keyStart = bytes === undefined ? start : 0
    draft.keyEnd = bytes === undefined ? this.#sink.position : bytes.length
    draft.keyInScratch = bytes === undefined
  }

  #encodeValue(value: VIn | null, index: number, draft: RecordDraft): void {
    if (value === null) {
      draft.value = null
      draft.valueStart = draft.valueEnd = 0
      return
    }
    if (value === undefined) throw this.#refuse(index, 'its value is missing; a tombstone has the value null')
    const start = this.#sink.position
    const bytes = this.#encodeInto(this.#value, value, index, 'value')
    draft.value = bytes ?? this.#sink.bytes
    draft.valueStart = bytes === undefined ? start : 0
    draft.valueEnd = bytes === undefined ? this.#sink.position : bytes.length
    // The key may lie in a buffer that has grown since.
    if (draft.keyInScratch && draft.key !== null) draft.key = this.#sink.bytes
  }

  #encodeInto<In>(encoder: Encoder<In>, value: In, index: number, part: 'key' | 'value'): Uint8Array | undefined {
    const start = this.#sink.position
    try {
      return encoder(value, this.#sink)
    } catch (error) {
      this.#sink.position = start
      throw recordRefused(error, this.#topic.name, index, part)
    }
  }

  #encodeHeaders(record: NewRecord<KIn, VIn>, index: number, draft: RecordDraft): void {
    if (record.headers === undefined) {
      draft.headers = NO_HEADERS
      draft.headersEnd = draft.headerCount = 0
      return
    }
    try {
      this.#headers.encode(checkedHeaders(record.headers))
    } catch (error) {
      throw recordRefused(error, this.#topic.name, index, 'value')
    }
    draft.headers = this.#headers.bytes
    draft.headersEnd = this.#headers.length
    draft.headerCount = this.#headers.count
  }

  #timestamp(given: number | undefined, now: number, index: number): number {
    const { messageTimestampType, messageTimestampAfterMaxMs, messageTimestampBeforeMaxMs } = this.#topic.config
    if (given === undefined || messageTimestampType === 'LogAppendTime') return now
    if (!Number.isInteger(given) || given < 0 || given > MAX_TIMESTAMP) {
      throw this.#refuse(index, 'its timestamp is not whole milliseconds since 1970')
    }
    if (given - now > messageTimestampAfterMaxMs) {
      throw this.#refuse(index, `its timestamp lies more than ${messageTimestampAfterMaxMs} ms in the future`)
    }
    if (now - given > messageTimestampBeforeMaxMs) {
      throw this.#refuse(index, `its timestamp lies more than ${messageTimestampBeforeMaxMs} ms in the past`)
    }
    return given
  }

  #place(given: number | undefined, draft: RecordDraft, index: number): number {
    const { partitions, config, name } = this.#topic
    const { key } = draft
    const own = key === null ? undefined : partitionOfKey(key, draft.keyStart, draft.keyEnd, partitions)
    if (given === undefined) return own ?? this.#sticky.current(partitions)
    const partition = parseInteger(given, 'partition')
    if (partition >= partitions) {
      throw new VarveError(
        'PARTITION_MISSING',
        `The topic ${name} has no partition ${partition}: it has ${partitions}, counted from 0.`,
        { topic: name, partition, partitions },
        { outcome: 'definite' },
      )
    }
    if (own !== undefined && own !== partition && config.placement === 'key') {
      throw this.#refuse(
        index,
        `its key belongs to partition ${own}, not ${partition}; placement: 'manual' allows that`,
      )
    }
    return partition
  }

  #refuse(index: number, why: string): VarveError<'INVALID_RECORD'> {
    const topic = this.#topic.name
    const message = `Record ${index} for topic ${topic} is not valid: ${why}. Nothing was written.`
    return new VarveError('INVALID_RECORD', message, { topic, index, issues: [] }, { outcome: 'definite' })
  }
}
