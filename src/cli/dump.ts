/**
 * `varve dump FILE`: what stands in a file of a store, field by field.
 *
 * Owns     which decoder shows which file, by name.
 * Holds    Files are opened for reading only, and `lock` never: closing it would drop the writer's lock. A damaged file
 *          is shown as far as it can be, the damage is named, and the exit code is 1.
 */
import type { Command } from 'commander'
import { initHashes } from '../base/xxh64.ts'
import { parseJournalFileName, parsePartitionDirectoryName, parseSegmentFileName } from '../segment/segment-files.ts'
import type { SegmentFileName } from '../segment/segment-files.ts'
import { CliError } from './cli-error.ts'
import { dumpOffsetIndex, dumpTimeIndex, dumpTransactionIndex } from './dump-index.ts'
import { dumpJournal } from './dump-journal.ts'
import { dumpLog } from './dump-log.ts'
import { Dump } from './dump-output.ts'
import { dumpSidecar } from './dump-sidecar.ts'
import { dumpSnapshot } from './dump-snapshot.ts'
import { dumpStateFile, dumpMarks, dumpText } from './dump-store.ts'
import type { Session } from './session.ts'

interface Options {
  readonly records?: true
}

export function addDump(program: Command, session: Session): void {
  program
    .command('dump')
    .summary('show what stands in a file of a store')
    .description(
      "Shows what stands in a file of a store, field by field, as Kafka's dump tool does: .log, .index, .timeindex,\n" +
        '.txnindex, .snapshot, .varve, checkpoints, partition.metadata, the journal, the catalog, the close record,\n' +
        'the marks. Exit code 1 when something in it is wrong.',
    )
    .argument('<file...>', 'files of a store or of a Kafka log directory')
    .option('--records', 'every record of a .log, every key of a .varve')
    .addHelpText('after', '\nExample:\n  $ varve dump --records ./varve-data/log/orders-0/00000000000000000000.log')
    .action(async (paths: readonly string[], options: Options) => {
      await initHashes()
      for (const path of paths) {
        if (session.files.statSync(path)?.kind !== 'file') throw new CliError(`${path} is not a file.`, 2)
        const dump = new Dump(session, path)
        if (!session.json && paths.length > 1) await session.out.line(`file ${path}`)
        await dumpFile(dump, options.records === true)
        if (dump.faults > 0) session.exitCode = 1
      }
    })
}

const TEXT_FILES: ReadonlySet<string> = new Set([
  'leader-epoch-checkpoint',
  'recovery-point-offset-checkpoint',
  'log-start-offset-checkpoint',
  'cleaner-offset-checkpoint',
  'replication-offset-checkpoint',
  'partition.metadata',
  'meta.properties',
  '.kafka_cleanshutdown',
])

const STATE_FILES: ReadonlySet<string> = new Set([
  'catalog',
  'close-record',
  'identity',
  'writer',
  'clock',
  'adopting',
  'remote',
  'remote-copies',
])

async function dumpFile(dump: Dump, withRecords: boolean): Promise<void> {
  const { name } = dump
  const segment = parseSegmentFileName(name)
  if (segment !== undefined) return dumpSegmentFile(dump, segment, withRecords)
  if (parseJournalFileName(name) !== undefined) return dumpJournal(dump)
  if (TEXT_FILES.has(name)) return dumpText(dump)
  if (STATE_FILES.has(name)) return dumpStateFile(dump)
  if (name === 'marks') return dumpMarks(dump)
  if (name === 'lock') throw new CliError(`${dump.path} holds nothing, and reading it would drop the writer's lock.`, 2)
  if (isQuarantined(name)) return dumpLog(dump, 0, withRecords)
  throw new CliError(`${dump.path} is no file of ours by its name; see varve dump --help.`, 2)
}

async function dumpSegmentFile(dump: Dump, segment: SegmentFileName, withRecords: boolean): Promise<void> {
  const { baseOffset } = segment
  switch (segment.kind) {
    case 'log':
      return dumpLog(dump, baseOffset, withRecords)
    case 'index':
      return dumpOffsetIndex(dump, baseOffset)
    case 'timeindex':
      return dumpTimeIndex(dump, baseOffset)
    case 'txnindex':
      return dumpTransactionIndex(dump)
    case 'snapshot':
      return dumpSnapshot(dump)
    case 'varve':
      return dumpSidecar(dump, withRecords)
    case 'sequences':
      throw new CliError(`${dump.path}: nothing writes such a file yet.`, 2)
  }
}

/** `<topic>-<partition>.<base offset>.<position>.<run>`: bytes that were cut from a log. */
function isQuarantined(name: string): boolean {
  const match = /^(.+)\.[0-9]{20}\.[0-9]+\.[^.]+$/.exec(name)
  return match !== null && parsePartitionDirectoryName(match[1] ?? '') !== undefined
}
