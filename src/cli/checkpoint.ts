/**
 * `varve checkpoint`: a consistent copy of the store.
 */
import type { Command } from 'commander'
import { durationText } from './output.ts'
import type { Session } from './session.ts'

interface Options {
  readonly kafka?: true
}

export function addCheckpoint(program: Command, session: Session): void {
  program
    .command('checkpoint')
    .summary('make a consistent copy of the store')
    .description(
      'Makes a consistent copy of the store in a new directory. Sealed segments\n' +
        'become hard links where the file system allows.\n\n' +
        'With --kafka the copy is a log directory for a broker: docs/kafka.md says how it gets there.',
    )
    .argument('<directory>', 'where to; missing or empty')
    .option('--kafka', 'make a log directory for a Kafka broker, without what is ours alone')
    .addHelpText('after', '\nExample:\n  $ varve checkpoint /backup/monday')
    .action(async (directory: string, { kafka }: Options) => {
      await using store = await session.writing()
      using _ = session.progress(() => `copying to ${directory}`)
      const { ms } = await session.timed(() => store.checkpoint(directory, { kafka, signal: session.signal }))
      if (session.json) return await session.out.json({ directory, ms })
      return await session.out.line(`Copied ${session.directory} to ${directory} in ${durationText(ms)}.`)
    })
}
