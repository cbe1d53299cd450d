/**
 * `varve adopt`: takes over a directory that a Kafka broker wrote.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Command } from 'commander'
import type { EventChannels } from '../base/api-diagnostics.ts'
import { openStore } from '../store.ts'
import { bytesText, counted, durationText } from './output.ts'
import type { Session } from './session.ts'

export function addAdopt(program: Command, session: Session): void {
  program
    .command('adopt')
    .summary("take over a Kafka broker's log directory")
    .description(
      'Makes a store of the directory --dir: the log directory of a Kafka broker that was stopped, or a store in\n' +
        'whose log/ a broker has written. Folders are renamed, no record is changed; what the broker alone needs\n' +
        'stays where it is. Interrupted, it goes on when the store is opened the next time. More: docs/kafka.md.',
    )
    .addHelpText('after', '\nExample:\n  $ varve adopt --dir /var/lib/kafka/data')
    .action(async () => {
      const { result: outcome, ms } = await session.timed(() => adopt(session))
      for (const warning of outcome.warnings) session.note(`warning: ${warning}`)
      if (outcome.warnings.length > 0) session.exitCode = 1
      if (session.json) return await session.out.json({ directory: session.directory, ...outcome, ms })
      const { topics, partitions, truncatedBytes } = outcome
      const cut = truncatedBytes === 0 ? '' : `, ${bytesText(truncatedBytes)} were cut and are in varve/quarantine`
      const what = `${counted(topics, 'topic')} with ${counted(partitions, 'partition')} in ${durationText(ms)}${cut}`
      return await session.out.line(`${session.directory} is a store: ${what}.`)
    })
}

interface Outcome {
  readonly topics: number
  readonly partitions: number
  readonly truncatedBytes: number
  readonly warnings: readonly string[]
}

async function adopt(session: Session): Promise<Outcome> {
  let at = 'looking at the directory'
  const listen = (message: unknown): void => {
    const { topic, partition, bytes, ofBytes } = message as EventChannels['varve:adopt']
    at = `taking over ${topic}/${partition}, ${bytesText(bytes / 2)} of ${bytesText(ofBytes / 2)}`
  }
  subscribe('varve:adopt', listen)
  try {
    using _ = session.progress(() => at)
    const { directory, signal } = session
    await using store = await openStore(directory, { adopt: true, create: false, signal })
    const { truncatedBytes, warnings } = store.recovery
    const names = await store.topics({ internal: true, signal })
    let partitions = 0
    for (const name of names) partitions += (await store.topic(name)).partitions
    return { topics: names.length, partitions, truncatedBytes, warnings }
  } finally {
    unsubscribe('varve:adopt', listen)
  }
}
