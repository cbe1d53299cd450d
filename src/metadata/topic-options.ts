/**
 * How a topic is opened: the definition and the options of the call, as one.
 *
 * Holds    What is resolved is frozen, with every field present.
 */
import type { TopicOptions } from '../base/api-topic.ts'
import { flag, oneOf, optionsObject, signalOf } from '../base/checks.ts'
import type { TopicDefinition } from '../base/topic-definition.ts'
import { checkTopicConfig, mergeTopicConfig } from './topic-config.ts'
import type { NamedTopicConfig } from './topic-config.ts'

export interface ResolvedTopicOptions {
  readonly create: 'never' | 'if-missing' | 'must'
  readonly alter: boolean
  /** The keys named in the definition or in the call, where the call's win. */
  readonly config: NamedTopicConfig
  readonly signal: AbortSignal | undefined
}

const NAMES = ['create', 'config', 'alter', 'signal'] as const satisfies readonly (keyof TopicOptions)[]

/** The options of opening `definition`, or a topic by its name alone. Throws INVALID_OPTION. */
export function resolveTopicOptions<K, V, N extends string, KIn, VIn>(
  definition: TopicDefinition<K, V, N, KIn, VIn> | undefined,
  options: TopicOptions | undefined,
): ResolvedTopicOptions {
  const given = optionsObject(options, NAMES, '')
  const defined = checkTopicConfig(definition?.config)
  return Object.freeze({
    create: oneOf(given.create ?? 'never', ['never', 'if-missing', 'must'], 'create'),
    alter: flag(given.alter ?? false, 'alter'),
    config: mergeTopicConfig(defined, checkTopicConfig(given.config)),
    signal: signalOf(given.signal),
  })
}
