/**
 * `varve offload`: copies topics to the bucket now.
 */
import type { Command } from 'commander'
import type { Store } from '../base/api-store.ts'
import type { OffloadReport } from '../base/api-topic.ts'
import { CliError } from './cli-error.ts'
import { bytesText, counted, durationText } from './output.ts'
import type { Session } from './session.ts'

export function addOffload(program: Command, session: Session): void {
  program
    .command('offload')
    .summary('copy segments to the bucket')
    .description(
      'Copies the full segments of a topic, or of all topics, to the bucket that --tier names, and ends when they\n' +
        'are committed there. Local copies stay. Ctrl-C ends it; what is committed by then stays in the bucket.',
    )
    .argument('[topic]', 'its name; default: all topics that are for the bucket')
    .option('--force', 'also what is being appended to, and what waits for its first cleaning')
    .addHelpText(
      'after',
      '\nExamples:\n  $ varve offload --tier s3://my-bucket/orders?region=eu-central-1\n' +
        '  $ varve offload orders --force --tier file:///mnt/nas/orders',
    )
    .action(async (name: string | undefined, { force = false }: { readonly force?: boolean }) => {
      if (session.tier === undefined) throw new CliError('Name the bucket with --tier; see varve offload --help.', 2)
      await using store = await session.writing()
      const topics = name === undefined ? await topicsForTheBucket(store) : [name]
      for (const topic of topics) await offloadOne(session, store, topic, force)
      if (topics.length === 0) session.note('No topic is for the bucket.')
    })
}

async function topicsForTheBucket(store: Store): Promise<string[]> {
  const names: string[] = []
  for (const name of await store.topics()) {
    const { remoteStorageEnable, remoteLogCopyDisable } = (await store.topic(name)).config
    if (remoteStorageEnable && !remoteLogCopyDisable) names.push(name)
  }
  return names
}

async function offloadOne(session: Session, store: Store, name: string, force: boolean): Promise<void> {
  const { result, ms } = await session.timed(() => offload(session, store, name, force))
  if (session.json) return await session.out.json({ topic: name, ...result })
  const { segments, bytes } = result
  const text = segments === 0 ? 'nothing to copy' : `${counted(segments, 'segment')} copied, ${bytesText(bytes)}`
  return await session.out.line(`${name}: ${text} in ${durationText(ms)}.`)
}

/** With progress. */
async function offload(session: Session, store: Store, name: string, force: boolean): Promise<OffloadReport> {
  const topic = await store.topic(name)
  const say = (): string => {
    const remote = store.stats().remote
    return `copying ${name}, tier ${remote?.state ?? 'unknown'}, ${bytesText(remote?.bytes ?? 0)} in the bucket`
  }
  using _ = session.progress(say)
  return await topic.offload({ force, signal: session.signal })
}
