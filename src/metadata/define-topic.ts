/**
 * Making a topic's definition.
 *
 * Owns     the checks on it. Touches nothing: whether such a topic exists is found out when it is opened.
 */
import type { Bytes } from '../base/api-records.ts'
import type { TopicConfig } from '../base/api-topic.ts'
import { optionsObject } from '../base/checks.ts'
import { checkCodec } from '../base/codec-face.ts'
import { bytes } from '../base/codec.ts'
import type { Codec } from '../base/codec.ts'
import { checkPartitionCount, checkTopicName } from '../base/topic-definition.ts'
import type { TopicDefinition } from '../base/topic-definition.ts'
import { checkTopicConfig } from './topic-config.ts'

/** What a definition says beside the name. */
export interface DefinitionOptions<K, KIn, V, VIn> {
  /** Without one every key is null; with one a key is required, unless it is `nullable(codec)`. */
  readonly key?: Codec<K, KIn> | undefined
  /** Default `bytes()`. */
  readonly value?: Codec<V, VIn> | undefined
  /** Partitions when it is created, 1 to 100,000; default 1. */
  readonly partitions?: number | undefined
  /** Config when it is created, compared when it is opened. */
  readonly config?: TopicConfig | undefined
}

/**
 * Describes a topic; touches nothing. Throws INVALID_TOPIC_NAME and INVALID_OPTION.
 *
 * ```ts
 * const Orders = defineTopic('orders', { key: utf8(), value: json<{ cents: number }>(), partitions: 4 })
 * ```
 */
export function defineTopic<const N extends string, K = null, KIn = null, V = Bytes, VIn = Uint8Array>(
  name: N,
  options?: DefinitionOptions<K, KIn, V, VIn>,
): TopicDefinition<K, V, N, KIn, VIn> {
  checkTopicName(name)
  const { key, value, partitions, config } = optionsObject(options, ['key', 'value', 'partitions', 'config'], '')
  if (key !== undefined) checkCodec(key, 'key')
  if (value !== undefined) checkCodec(value, 'value')
  if (partitions !== undefined) checkPartitionCount(partitions, 'partitions')
  const named = config === undefined ? undefined : checkTopicConfig(config)
  // Without a value codec V and VIn are the defaults of this function, which are what `bytes` has.
  const valueCodec = value ?? (bytes() as unknown as Codec<V, VIn>)
  return Object.freeze({ name, key, value: valueCodec, partitions, config: named })
}
