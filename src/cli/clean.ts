/**
 * `varve clean`: compacts topics now.
 */
import type { Command } from 'commander'
import type { Store } from '../base/api-store.ts'
import type { CleanReport } from '../base/api-topic.ts'
import { VarveError } from '../base/errors.ts'
import { bytesText, counted, durationText } from './output.ts'
import type { Session } from './session.ts'

export function addClean(program: Command, session: Session): void {
  program
    .command('clean')
    .summary('keep only the newest record of every key')
    .description(
      'Compacts a compacted topic, or all of them: of every key the newest record stays, deletions stay for\n' +
        'deleteRetentionMs. Offsets and order do not change. Ctrl-C ends it; what is in place by then stays.\n' +
        'Where a topic cannot be cleaned the others are, and the exit code is 1.',
    )
    .argument('[topic]', 'its name; default: all compacted topics')
    .option('--force', 'also what is being appended to, and where little is superseded')
    .addHelpText('after', '\nExamples:\n  $ varve clean\n  $ varve clean orders --force')
    .action(async (name: string | undefined, options: { force?: true }) => {
      await using store = await session.writing()
      const force = options.force === true
      if (name === undefined) await cleanAll(session, store, force)
      else await cleanOne(session, store, name, force)
    })
}

/** What is wrong with one topic is told, and the others are cleaned. */
async function cleanAll(session: Session, store: Store, force: boolean): Promise<void> {
  for (const name of await compactedTopics(store)) {
    try {
      await cleanOne(session, store, name, force)
    } catch (error) {
      if (session.signal.aborted || !isOfTopic(error)) throw error
      session.failed(error)
      session.exitCode = 1
    }
  }
}

function isOfTopic(error: unknown): boolean {
  return VarveError.is(error) && (error.kind === 'corrupt' || error.kind === 'invalid' || error.retryable)
}

async function cleanOne(session: Session, store: Store, name: string, force: boolean): Promise<void> {
  const { result, ms } = await session.timed(() => clean(session, store, name, force))
  if (session.json) await session.out.json({ topic: name, ...result })
  else await session.out.line(`${name}: ${reportText(result)} in ${durationText(ms)}.`)
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
async function clean(session: Session, store: Store, name: string, force: boolean): Promise<CleanReport> {
  const topic = await store.topic(name)
  using _ = session.progress(() => `cleaning ${name}, ${bytesText(store.stats().cleaner.backlogBytes)} wait`)
  return await topic.clean({ force, signal: session.signal })
}

function reportText({ readRecords, keptRecords, freedBytes }: CleanReport): string {
  if (readRecords === 0) return 'nothing to clean'
  return `${counted(readRecords, 'record')} read, ${keptRecords} kept, ${bytesText(freedBytes)} freed`
}
