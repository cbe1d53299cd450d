/**
 * `varve alter`: other config or more partitions for a topic.
 */
import type { Command } from 'commander'
import type { Store } from '../base/api-store.ts'
import type { RawTopic } from '../base/api-topic.ts'
import { CliError } from './cli-error.ts'
import { collect, configOf, positiveNumber } from './config-arguments.ts'
import { bytesText } from './output.ts'
import type { Session } from './session.ts'

interface Options {
  readonly config: readonly string[]
  readonly addPartitions?: number
}

export function addAlter(program: Command, session: Session): void {
  program
    .command('alter')
    .summary('change the config of a topic, add partitions')
    .description('Changes the named config keys of a topic and leaves the others. Partitions can only be added.')
    .argument('<topic>', 'its name')
    .option('--config <name=value>', 'a config key and its new value; may be repeated', collect, [])
    .option('--add-partitions <number>', 'how many more partitions', positiveNumber)
    .addHelpText('after', '\nExample:\n  $ varve alter orders --config retentionBytes=20GiB')
    .action(async (name: string, options: Options) => {
      const { config, addPartitions } = options
      if (config.length === 0 && addPartitions === undefined) {
        throw new CliError('Nothing to change: give --config name=value or --add-partitions NUMBER.', 2)
      }
      await using store = await session.writing()
      const topic = await altered(session, store, name, options)
      if (session.json) return await session.out.json({ name, partitions: topic.partitions, config: topic.config })
      return await session.out.line(`Altered ${name}.`)
    })
}

/** What takes long is the key map that a topic gets. */
async function altered(session: Session, store: Store, name: string, options: Options): Promise<RawTopic> {
  using _ = session.progress(() => `altering ${name}, ${bytesText(store.stats().memory.keyMap)} of key maps`)
  const topic = await store.topic(name, { config: configOf(options.config), alter: true })
  if (options.addPartitions !== undefined) await topic.addPartitions(options.addPartitions)
  return topic
}
