/**
 * `varve clean`: compacts topics now.
 */
import type { Command } from 'commander'
import type { Store } from '../base/api-store.ts'
import type { CleanReport } from '../base/api-topic.ts'
import { bytesText, counted, durationText } from './output.ts'
import type { Session } from './session.ts'

export function addClean(program: Command, session: Session): void {
  program
    .command('clean')
    .summary('keep only the newest record of every key')
    .description(
      'Compacts a compacted topic, or all of them: of every key the newest record stays, deletions stay for\n' +
        'deleteRetentionMs. Offsets and order do not change. Ctrl-C ends it; what is in place by then stays.',
    )
    .argument('[topic]', 'its name; default: all compacted topics')
    .option('--force', 'also what is being appended to, and where little is superseded')
    .addHelpText('after', '\nExamples:\n  $ varve clean\n  $ varve clean orders --force')
    .action(async (name: string | undefined, options: { force?: true }) => {
      await using store = await session.writing()
      for (const topic of name === undefined ? await compactedTopics(store) : [name]) {
        const { result, ms } = await session.timed(() => clean(session, store, topic, options.force === true))
        if (session.json) await session.out.json({ topic, ...result })
        else await session.out.line(`${topic}: ${reportText(result)} in ${durationText(ms)}.`)
      }
    })
}

async function compactedTopics(store: Store): Promise<string[]> {
  const names: string[] = []
  for (const name of await store.topics()) {
    const { cleanupPolicy } = (await store.topic(name)).config
    if (cleanupPolicy !== 'delete') names.push(name)
  }
  return names
}

/** Cleans one topic, with progress. */
export async function clean(session: Session, store: Store, name: string, force: boolean): Promise<CleanReport> {
  const topic = await store.topic(name)
  using _ = session.progress(() => `cleaning ${name}, ${bytesText(store.stats().cleaner.backlogBytes)} wait`)
  return await topic.clean({ force, signal: session.signal })
}

export function reportText({ readRecords, keptRecords, freedBytes }: CleanReport): string {
  if (readRecords === 0) return 'nothing to clean'
  return `${counted(readRecords, 'record')} read, ${keptRecords} kept, ${bytesText(freedBytes)} freed`
}
