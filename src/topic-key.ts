/**
 * A key as given to a lookup: its bytes, and the partition that it belongs to.
 *
 * Owns     the scratch that a key is encoded into, reused from one call to the next.
 * Holds    The bytes are those that an append would store. They are valid until the next `encode`.
 * @hot
 */
import { ByteSink } from './base/byte-sink.ts'
import { copyBytes, encoderOf } from './base/codec-face.ts'
import type { Codec, Encoder } from './base/codec-face.ts'
import { VarveError } from './base/errors.ts'
import { partitionOfKey } from './base/partitioner.ts'
import type { LiveKeys } from './log/live-keys.ts'
import type { PartitionLog } from './log/log.ts'
import type { ResolvedTopicConfig } from './metadata/topic-config.ts'

/** What is known of the topic. */
export interface KeySubject {
  readonly name: string
  readonly logs: readonly PartitionLog[]
  readonly config: ResolvedTopicConfig
}

export class KeyEncoder<KIn> {
  /** The key in `[start, end)`. */
  bytes: Uint8Array = Buffer.alloc(0)
  start = 0
  end = 0
  readonly #topic: KeySubject
  readonly #encoder: Encoder<KIn & {}> | undefined
  #sink: ByteSink | undefined

  constructor(topic: KeySubject, codec: Codec<unknown, KIn> | undefined) {
    this.#topic = topic
    this.#encoder = codec === undefined ? undefined : encoderOf(codec)
  }

  /** Throws INVALID_OPTION, which names `option`; the message has nothing of the key. */
  encode(key: KIn & {}, option: string): void {
    if (this.#encoder === undefined) throw refused(this.#topic.name, option, 'the topic has no key codec')
    if ((key as unknown) === null || key === undefined) throw refused(this.#topic.name, option, 'a key is not null')
    this.#sink ??= new ByteSink()
    const sink = this.#sink
    sink.clear()
    const own = this.#encodeInto(this.#encoder, key, sink, option)
    this.bytes = own ?? sink.bytes
    this.start = 0
    this.end = own === undefined ? sink.position : own.length
  }

  /** The log that the encoded key lies in. */
  place(): PartitionLog {
    const { logs, config } = this.#topic
    if (config.placement === 'manual' && logs.length > 1) throw anywhere(this.#topic)
    return logs[partitionOfKey(this.bytes, this.start, this.end, logs.length)]!
  }

  /** The encoded key in memory of its own. */
  copy(): Uint8Array<ArrayBuffer> {
    return copyBytes(this.bytes, this.start, this.end)
  }

  #encodeInto(encoder: Encoder<KIn & {}>, key: KIn & {}, sink: ByteSink, option: string): Uint8Array | undefined {
    try {
      return encoder(key, sink)
    } catch (error) {
      throw VarveError.is(error) ? error : refused(this.#topic.name, option, 'its codec refused it, see cause', error)
    }
  }
}

function refused(topic: string, option: string, why: string, cause?: unknown): VarveError<'INVALID_OPTION'> {
  return new VarveError('INVALID_OPTION', `The key is not one of topic ${topic}: ${why}.`, { option }, { cause })
}

/** Offsets of different partitions say nothing about which record is newer. */
function anywhere({ name, logs }: KeySubject): VarveError<'INVALID_OPTION'> {
  const message =
    `The topic ${name} has placement 'manual' and ${logs.length} partitions: a key may lie in any of them, so its ` +
    'newest record cannot be told. Read the partitions, or use a topic that places records by key.'
  return new VarveError('INVALID_OPTION', message, { option: 'key' })
}

/** The key map of a log. Throws KEY_MAP_OFF for `call` when there is none, or while it is being built. */
export function completeMap(topic: KeySubject, { keys }: PartitionLog, call: string): LiveKeys {
  if (keys?.isComplete === true) return keys
  throw keyMapOff(
    topic,
    keys === undefined ? whyOff(topic.config) : 'is being built. Await what has turned it on',
    call,
  )
}

function whyOff({ keyMap }: ResolvedTopicConfig): string {
  return keyMap
    ? "is off although the topic's config asks for it: a store that is opened read-only has none, and one that grows " +
        'beyond keyMapBytes is given up'
    : 'is off. Open the topic with { config: { keyMap: true }, alter: true } to turn it on'
}

function keyMapOff({ name }: KeySubject, why: string, call: string): VarveError<'KEY_MAP_OFF'> {
  const message = `${call} needs the key map of the topic ${name}, which ${why}. get and history go without.`
  return new VarveError('KEY_MAP_OFF', message, { topic: name }, { outcome: 'definite' })
}
