/**
 * `varve import-git REPO`: the history of a git repository as a changelog.
 *
 * Owns     what a changed path looks like as a record, and how an earlier import is continued from the log alone.
 * Holds    For each commit along the first parents, oldest first, each changed path in the order of its bytes: key =
 *          path, value = contents (a symlink's target, a gitlink's commit id in hex), null for a deletion; timestamp =
 *          the committer's date; headers `commit` (hex) and `mode` (octal text, `000000` for a deletion). Sizes are
 *          checked before the first record is written.
 * Crash    A prefix of the records is there. The next run reads the last record, finds its place in the commit that it
 *          names, and goes on behind it. Commits that changed nothing leave no trace and need none.
 *
 * Dates: a commit may claim any date. Records take it in ms, moved into the range that the topic allows: not before
 * 1970, not after 9999, and not further ahead than `messageTimestampAfterMaxMs` (no limit in topics made here).
 */
import type { Command } from 'commander'
import { VarveError } from '../base/errors.ts'
import { header } from '../base/record-headers.ts'
import type { Bytes, LogRecord } from '../base/api-records.ts'
import type { Store } from '../base/api-store.ts'
import type { RawTopic, TopicConfig } from '../base/api-topic.ts'
import { CliError } from './cli-error.ts'
import { collect, configOf } from './config-arguments.ts'
import { withSizes, withValues } from './git-blobs.ts'
import { changesOf, rangeAfter } from './git-history.ts'
import type { Change, Imported, Range } from './git-history.ts'
import { descends, openRepository } from './git.ts'
import type { Repository } from './git.ts'
import { bytesText, count, counted, durationText, rateText, shown, textOf } from './output.ts'
import type { Session } from './session.ts'

/** Largest batch in topics made here: git hosts refuse files above 100 MB, and few come near. */
export const GIT_MAX_MESSAGE_BYTES: number = 64 * 1024 * 1024
/** No limit: commits with dates in the future are real. */
const TIMESTAMP_AFTER_MAX_MS = Number.MAX_SAFE_INTEGER
const LATEST_TIMESTAMP = 253_402_300_799_999
/** A batch's own bytes, the record's lengths, and both headers with a SHA-256 id. */
const RECORD_OVERHEAD_BYTES = 256
const WRITER_BUFFER_BYTES = 4 * 1024 * 1024

/** What an import did. */
export interface ImportReport {
  readonly topic: string
  readonly head: string
  /** The newest commit that was there before, null when the topic was empty. */
  readonly previous: string | null
  readonly commits: number
  readonly records: number
  readonly bytes: number
  readonly ms: number
}

/** What is to be imported, counted before anything is written. */
export interface Plan {
  readonly range: Range
  readonly records: number
  readonly bytes: number
}

interface Options {
  readonly topic: string
  readonly config: readonly string[]
}

export function addImportGit(program: Command, session: Session): void {
  program
    .command('import-git')
    .summary('append the history of a git repository')
    .description(
      'Appends the history of a git repository: for each commit, oldest first and along first parents, each changed\n' +
        'path becomes a record. Key = path, value = contents (null: deleted), timestamp = commit time, headers\n' +
        '`commit` and `mode`. Run it again to append what is new. The topic is made when missing.',
    )
    .argument('[repository]', 'a directory in the repository', '.')
    .requiredOption('--topic <name>', 'the topic to append to')
    .option('--config <name=value>', 'config of the topic when it is made; may be repeated', collect, [])
    .addHelpText('after', '\nExample:\n  $ varve import-git ~/src/linux --topic linux\n  $ varve read linux --limit 3')
    .action(async (directory: string, options: Options) => {
      const repository = await openRepository(directory)
      await using store = await session.writing(true)
      const topic = await gitTopic(store, options.topic, configOf(options.config))
      await report(session, await importGit(session, store, topic, repository))
    })
}

async function report(session: Session, done: ImportReport): Promise<void> {
  if (session.json) return session.out.json(done)
  if (done.records === 0) return session.out.line(`Nothing new: ${done.topic} is at commit ${done.head}.`)
  const what = `${counted(done.records, 'record')} of ${counted(done.commits, 'commit')}, ${bytesText(done.bytes)}`
  const pace = `in ${durationText(done.ms)} (${rateText(done.bytes, done.ms)})`
  await session.out.line(`${what} appended to ${done.topic} ${pace}; now at commit ${done.head}.`)
}

/** Opens the topic, or makes it as an import wants it. */
export async function gitTopic(store: Store, name: string, config: TopicConfig): Promise<RawTopic> {
  const topic = await store.topic(name).catch(async (error: unknown) => {
    if (!VarveError.is(error, 'TOPIC_MISSING')) throw error
    const wanted = {
      maxMessageBytes: GIT_MAX_MESSAGE_BYTES,
      messageTimestampAfterMaxMs: TIMESTAMP_AFTER_MAX_MS,
      ...config,
    }
    return store.topic(name, { create: 'must', config: wanted })
  })
  if (topic.partitions === 1) return topic
  throw new CliError(`${name} has ${topic.partitions} partitions; a history needs its order, so one partition.`, 2)
}

/** Appends what the topic does not have yet. */
export async function importGit(
  session: Session,
  store: Store,
  topic: RawTopic,
  repository: Repository,
): Promise<ImportReport> {
  const start = session.clock.monotonicMs()
  if (repository.isShallow)
    session.note(`${repository.directory} is a shallow clone: what came before it is not in the import.`)
  const imported = await lastImported(topic)
  if (imported !== undefined) await refuseOtherHistory(topic, repository, imported)
  const plan = await planImport(session, topic, await rangeAfter(repository, imported))
  if (plan.records > 0) await appendChanges(session, store, topic, plan)
  return {
    topic: topic.name,
    head: repository.head,
    previous: imported?.commit ?? null,
    commits: plan.range.commits,
    records: plan.records,
    bytes: plan.bytes,
    ms: session.clock.monotonicMs() - start,
  }
}

async function refuseOtherHistory(topic: RawTopic, repository: Repository, imported: Imported): Promise<void> {
  const follows = await descends(repository, imported.commit, repository.head)
  if (follows === true) return
  const why = follows === undefined ? 'the repository does not have that commit' : 'which HEAD does not descend from'
  throw new CliError(
    `HEAD is ${repository.head}, but ${topic.name} was imported up to ${imported.commit}, ${why}: ` +
      'the history was rewritten, or this is another repository. Import it into a new topic.',
  )
}

/** Goes through what is to come, without reading contents: counts it, and refuses what would not fit. */
async function planImport(session: Session, topic: RawTopic, range: Range): Promise<Plan> {
  const limit = topic.config.maxMessageBytes
  let records = 0
  let bytes = 0
  using _ = session.progress(() => `looking through ${counted(range.commits, 'commit')}: ${counted(records, 'change')}`)
  for await (const { change, sizeBytes } of withSizes(range.repository, changesOf(range))) {
    session.signal.throwIfAborted()
    records++
    bytes += sizeBytes ?? 0
    if ((sizeBytes ?? 0) + change.path.byteLength + RECORD_OVERHEAD_BYTES > limit)
      throw tooLarge(topic, change, sizeBytes)
  }
  return { range, records, bytes }
}

function tooLarge(topic: RawTopic, change: Change, sizeBytes: number | null): CliError {
  const what = `${shown(change.path)} in commit ${change.commit} has ${count(sizeBytes ?? 0)} bytes`
  const limit = `${topic.name} takes batches of at most ${count(topic.config.maxMessageBytes)}`
  return new CliError(`${what}; ${limit}. No record was written. The topic needs a larger maxMessageBytes.`)
}

async function appendChanges(session: Session, store: Store, topic: RawTopic, plan: Plan): Promise<void> {
  const { signal } = session
  const latest = Math.min(LATEST_TIMESTAMP, session.clock.now() + topic.config.messageTimestampAfterMaxMs)
  let records = 0
  let bytes = 0
  using _ = session.progress(() => {
    return `${count(records)} of ${counted(plan.records, 'record')}, ${bytesText(bytes)} of ${bytesText(plan.bytes)}`
  })
  // Acknowledged from the page cache, made durable at the end: a crash leaves a prefix, which the next run continues.
  const writer = topic.writer({ durability: 'os', bufferBytes: WRITER_BUFFER_BYTES, signal })
  try {
    for await (const { change, value } of withValues(plan.range.repository, changesOf(plan.range))) {
      const timestamp = Math.max(0, Math.min(latest, change.commitSeconds * 1000))
      const headers = { commit: change.commit, mode: change.mode }
      if (!writer.write({ key: change.path, value, timestamp, headers })) await writer.drained({ signal })
      records++
      bytes += value?.byteLength ?? 0
    }
    await writer.close()
  } catch (error) {
    await writer.close().catch(() => undefined)
    throw error
  }
  await store.flush({ signal })
}

/** How far the topic's log has come; undefined: it is empty. */
export async function lastImported(topic: RawTopic): Promise<Imported | undefined> {
  const { logStart, highWatermark } = await topic.partition(0).offsets()
  const last = await lastRecord(topic, logStart, highWatermark)
  if (last === undefined) return undefined
  const commit = commitOf(last)
  const base = await commitBefore(topic, commit, logStart, last.offset)
  return { commit, path: last.key ?? new Uint8Array(0), base }
}

function commitOf(record: LogRecord<Bytes | null, Bytes>): string {
  const id = header(record, 'commit')
  const text = id === undefined || id === null ? undefined : textOf(id)
  if (text !== undefined && /^([0-9a-f]{40}|[0-9a-f]{64})$/.test(text) && record.key !== null) return text
  throw new CliError(
    `${record.topic} holds records that no git import wrote (offset ${record.offset}); name another topic.`,
  )
}

type RawRecord = LogRecord<Bytes | null, Bytes>

/** The first record at or behind `offset`. */
async function firstRecord(topic: RawTopic, offset: number, end: number): Promise<RawRecord | undefined> {
  await using reader = topic.read({ partition: 0, from: offset, until: end, maxBatchRecords: 1 })
  for await (const record of reader) return record
  return undefined
}

/** The last record below `end`; offsets may have gaps after cleaning. */
async function lastRecord(topic: RawTopic, logStart: number, end: number): Promise<RawRecord | undefined> {
  for (let step = 1, from = end; from > logStart; step *= 2) {
    from = Math.max(logStart, end - step)
    let last: RawRecord | undefined
    await using reader = topic.read({ partition: 0, from, until: end })
    for await (const record of reader) last = record
    if (last !== undefined) return last
  }
  return undefined
}

/**
 * The commit of the last record that is not of `commit`; undefined: all are. The records of a commit lie together, so a
 * binary search finds the border.
 */
async function commitBefore(
  topic: RawTopic,
  commit: string,
  logStart: number,
  lastOffset: number,
): Promise<string | undefined> {
  let before: string | undefined
  let low = logStart
  let high = lastOffset
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    const record = await firstRecord(topic, middle, lastOffset + 1)
    if (record === undefined || commitOf(record) === commit) {
      high = middle
    } else {
      before = commitOf(record)
      low = record.offset + 1
    }
  }
  return before
}
