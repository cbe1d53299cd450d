/**
 * What a topic is called and made of.
 *
 * Owns     the shape of a definition, Kafka's rule for names, and the rule for names of our own.
 * Holds    A name that passes is safe as a part of a file name on every system: no separators, not `.` or `..`.
 */
import type { TopicConfig } from './api-topic.ts'
import type { Codec } from './codec-face.ts'
import { VarveError } from './errors.ts'
import { parseInteger, shown } from './units.ts'

/** A topic's name, codecs, partitions and config, as a value to share between programs. */
export interface TopicDefinition<K, V, N extends string = string, KIn = K, VIn = V> {
  /** 1 to 249 of `[a-zA-Z0-9._-]`, Kafka's rule. Names that start with `__` are internal. */
  readonly name: N
  /** The key codec; undefined: every key is null. */
  readonly key: Codec<K, KIn> | undefined
  /** The value codec. */
  readonly value: Codec<V, VIn>
  /** Partitions when it is created; default 1. */
  readonly partitions?: number | undefined
  /** Config when it is created, compared when it is opened. */
  readonly config?: TopicConfig | undefined
}

/** Partitions of one topic at most. */
export const MAX_PARTITIONS = 100_000

const NAME = /^[a-zA-Z0-9._-]{1,249}$/

/** Internal topics are the store's own; users read them but do not make, change or delete them. */
export function isInternalName(name: string): boolean {
  return name.startsWith('__')
}

/** Kafka would take the name. */
export function isTopicName(name: string): boolean {
  return NAME.test(name) && name !== '.' && name !== '..'
}

/** Throws INVALID_TOPIC_NAME unless Kafka would take the name. */
export function checkTopicName(name: unknown): asserts name is string {
  if (typeof name === 'string' && isTopicName(name)) return
  refuseName(name, "must be 1 to 249 of a-z, A-Z, 0-9, '.', '_' and '-', and neither '.' nor '..'")
}

/** Throws INVALID_TOPIC_NAME for a name that a user may not create. */
export function checkNewTopicName(name: unknown): asserts name is string {
  checkTopicName(name)
  if (isInternalName(name)) refuseName(name, "must not start with '__': such topics are the store's own")
}

/** Throws INVALID_OPTION, which names `option`, unless `count` is a possible number of partitions. */
export function checkPartitionCount(count: number, option: string): number {
  return parseInteger(count, option, 1, MAX_PARTITIONS)
}

function refuseName(name: unknown, rule: string): never {
  const topic = typeof name === 'string' ? name : shown(name)
  throw new VarveError('INVALID_TOPIC_NAME', `The topic name ${shown(name)} is not valid: it ${rule}.`, { topic })
}
