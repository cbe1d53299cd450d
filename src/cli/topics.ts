/**
 * `varve topics`: the names of the topics.
 */
import type { Command } from 'commander'
import type { Session } from './session.ts'

export function addTopics(program: Command, session: Session): void {
  program
    .command('topics')
    .summary('list the topics')
    .description('Lists the topics of the store with their partitions.')
    .option('--internal', 'also the internal ones')
    .addHelpText('after', '\nExample:\n  $ varve topics --dir ./data')
    .action(async (options: { internal?: true }) => {
      await using store = await session.reading()
      const names = await store.topics({ internal: options.internal })
      const rows = await Promise.all(names.map(async (name) => [name, (await store.topic(name)).partitions] as const))
      if (session.json) return await session.out.json(rows.map(([name, partitions]) => ({ name, partitions })))
      if (rows.length === 0) return session.note(`No topics in ${session.directory}.`)
      return await session.out.table(['topic', 'partitions'], rows)
    })
}
