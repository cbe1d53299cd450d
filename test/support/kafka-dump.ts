/**
 * Kafka's DumpLogSegments over files of ours, and what it found wrong with them.
 *
 * Holds    Its verdict is read from its output, for it ends with status 0 also after a mismatch. It says "-1 is
 *          followed by N" of every segment that does not begin at offset 0: that one line is not a complaint.
 */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { runKafkaTool } from './kafka.ts'

const DUMPED = ['.log', '.index', '.timeindex', '.txnindex', '.snapshot']

export interface DumpVerdict {
  readonly batches: number
  readonly records: number
  /** Codecs that occur, sorted. */
  readonly codecs: readonly string[]
  /** Entries over all offset indexes and all time indexes: 0 means that nothing was compared. */
  readonly indexEntries: number
  readonly timeIndexEntries: number
  /** What Kafka finds wrong; empty when all is well. */
  readonly complaints: readonly string[]
}

/** Every file of a partition directory that the tool can judge. */
export function dumpableFiles(partitionDirectory: string): string[] {
  const names = readdirSync(partitionDirectory).filter((name) => DUMPED.some((suffix) => name.endsWith(suffix)))
  return names.sort().map((name) => join(partitionDirectory, name))
}

export async function dumpVerdict(files: readonly string[]): Promise<DumpVerdict> {
  const args = ['--deep-iteration', '--print-data-log', '--max-message-size', '33554432', '--files', files.join(',')]
  const { stdout, stderr, exitCode } = await runKafkaTool('org.apache.kafka.tools.DumpLogSegments', args)
  const lines = stdout.split('\n')
  const batches = lines.filter((line) => line.startsWith('baseOffset: '))
  const complaints = [
    ...batches.filter((line) => !line.includes('isvalid: true')),
    ...lines.filter((line) => /^Found \d+ invalid bytes/.test(line)),
    ...errorsIn(stderr),
  ]
  if (exitCode !== 0) complaints.push(`exit status ${exitCode}`)
  return {
    batches: batches.length,
    records: lines.filter((line) => line.startsWith('| offset: ')).length,
    codecs: [...new Set(batches.map((line) => /compresscodec: (\w+)/.exec(line)?.[1] ?? '?'))].sort(),
    indexEntries: lines.filter((line) => line.startsWith('offset: ') && line.includes(' position: ')).length,
    timeIndexEntries: lines.filter((line) => line.startsWith('timestamp: ') && line.includes(' offset: ')).length,
    complaints,
  }
}

function errorsIn(stderr: string): string[] {
  const lines = stderr.split('\n').filter((line) => line.trim() !== '' && !/^SLF4J|WARN|^WARNING:/.test(line))
  const kept = lines.filter((line) => !/^ *-1 is followed by \d+$/.test(line))
  // A section's title without anything below it says nothing.
  return kept.filter(
    (line, i) => !line.startsWith('Non-consecutive offsets in') || kept[i + 1]?.startsWith(' ') === true,
  )
}
