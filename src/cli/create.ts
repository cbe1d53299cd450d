/**
 * `varve create`: a new topic.
 */
import type { Command } from 'commander'
import { defineTopic } from '../metadata/define-topic.ts'
import { collect, configOf, positiveNumber } from './config-arguments.ts'
import type { Session } from './session.ts'

interface Options {
  readonly partitions: number
  readonly config: readonly string[]
}

export function addCreate(program: Command, session: Session): void {
  program
    .command('create')
    .summary('create a topic')
    .description('Creates a topic, and the store when there is none. Keys and values are bytes.')
    .argument('<topic>', "its name: 1 to 249 of a-z, A-Z, 0-9, '.', '_' and '-'")
    .option('--partitions <number>', 'how many partitions', positiveNumber, 1)
    .option('--config <name=value>', "a config key by Kafka's name; may be repeated", collect, [])
    .addHelpText(
      'after',
      '\nExample:\n  $ varve create orders --partitions 4 --config retentionMs=7d --config compressionType=zstd',
    )
    .action(async (name: string, options: Options) => {
      const { partitions } = options
      const definition = defineTopic(name, { partitions, config: configOf(options.config) })
      await using store = await session.writing(true)
      await store.topic(definition, { create: 'must' })
      if (session.json) return await session.out.json({ name, partitions })
      return await session.out.line(
        `Created ${name} with ${partitions === 1 ? '1 partition' : `${partitions} partitions`}.`,
      )
    })
}
