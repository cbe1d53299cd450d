/**
 * `varve read`: records as text, as JSON, or their bare values.
 *
 * Owns     the forms in which a record is printed.
 * Holds    One record, one line (but `value` and `key-value`, which print bytes as they are). What is printed is
 *          written at once with back-pressure: following a topic into a slow pipe costs no memory.
 */
import { Option } from 'commander'
import type { Command } from 'commander'
import type { ReadOptions } from '../base/api-read.ts'
import type { Bytes, LogRecord } from '../base/api-records.ts'
import type { ReadStore } from '../base/api-store.ts'
import type { KeyedTopic, ReadTopic } from '../base/api-topic.ts'
import { placeOf, positiveNumber, wholeNumber } from './config-arguments.ts'
import type { Place } from './config-arguments.ts'
import { jsonBytes, shown, timeText } from './output.ts'
import type { Session } from './session.ts'

export const FORMATS: readonly ['text', 'json', 'value', 'key-value'] = ['text', 'json', 'value', 'key-value']
const VALUE_SHOWN_BYTES = 160

export type Format = (typeof FORMATS)[number]
type RawRecord = LogRecord<Bytes | null, Bytes>

interface Options {
  readonly from: Place<'earliest' | 'latest'>
  readonly until: Place<'end'>
  readonly partition?: number
  readonly follow?: true
  readonly limit?: number
  readonly format: Format
  readonly uncommitted?: true
  readonly latest?: true
}

export function addRead(program: Command, session: Session): void {
  program
    .command('read')
    .summary('print records')
    .description('Prints the records of a topic, each partition in its order.')
    .argument('<topic>', 'its name')
    .option(
      '--from <place>',
      'earliest, latest, an offset, or a time',
      (text) => placeOf(text, ['earliest', 'latest']),
      'earliest',
    )
    .option(
      '--until <place>',
      'end, an offset, or a time; exclusive; what is not there yet is not waited for',
      (text) => placeOf(text, ['end']),
      'end',
    )
    .option('--partition <number>', 'only this partition', wholeNumber)
    .option('--follow', 'go on with what is appended, until Ctrl-C')
    .option('--limit <number>', 'at most so many records', positiveNumber)
    .option('--uncommitted', 'also records of open and aborted transactions')
    .addOption(
      new Option('--latest', 'only the newest record of every key, without deleted ones, in no order').conflicts([
        'from',
        'until',
        'partition',
        'follow',
        'uncommitted',
      ]),
    )
    .addOption(new Option('--format <form>', 'how a record is printed').choices(FORMATS).default('text'))
    .addHelpText(
      'after',
      '\nExample:\n  $ varve read orders --from 2026-01-31T12:00:00Z --follow --json\n  $ varve read users --latest',
    )
    .action(async (name: string, options: Options) => {
      await using store = await session.reading()
      const topic = await store.topic(name)
      await using reader = await readerOf(session, store, topic, options)
      const format = session.json ? 'json' : options.format
      let left = options.limit ?? Infinity
      for await (const record of reader) {
        await session.out.write(recordLine(record, format))
        if (--left <= 0) break
      }
    })
}

async function readerOf(
  session: Session,
  store: ReadStore,
  topic: KeyedTopic<Bytes | null, Bytes>,
  options: Options,
): Promise<AsyncIterable<RawRecord> & AsyncDisposable> {
  if (options.latest !== true)
    return topic.read({ ...readOptions(session, options), until: await endOf(topic, options) })
  await session.mapKeys(store, topic.name)
  return topic.latest({ signal: session.signal })
}

/** Without `--follow` nothing is waited for: a place that is not there yet is the end as it is now. */
async function endOf(
  topic: ReadTopic<Bytes | null, Bytes>,
  { follow, until, partition }: Options,
): Promise<ReadOptions['until']> {
  if (follow === true) return 'forever'
  if (until === 'end' || (typeof until === 'number' && partition === undefined)) return until
  const partitions = partition === undefined ? [...Array(topic.partitions).keys()] : [partition]
  const ends: Record<number, number> = {}
  for (const index of partitions) {
    const one = topic.partition(index)
    const { highWatermark } = await one.offsets()
    const found = typeof until === 'number' ? until : (await one.offsetForTime(until.time))?.offset
    ends[index] = Math.min(found ?? highWatermark, highWatermark)
  }
  return ends
}

function readOptions(session: Session, options: Options): ReadOptions {
  return {
    partition: options.partition ?? 'all',
    from: options.from,
    isolation: options.uncommitted === true ? 'read_uncommitted' : 'read_committed',
    signal: session.signal,
  }
}

/** A record as it is printed, with the newline. */
export function recordLine(record: RawRecord, format: Format): string | Uint8Array {
  switch (format) {
    case 'text':
      return `${textLine(record)}\n`
    case 'json':
      return `${JSON.stringify(recordJson(record))}\n`
    case 'value':
      return Buffer.concat([record.value ?? Buffer.from('null'), Buffer.from('\n')])
    case 'key-value':
      return Buffer.concat([
        record.key ?? Buffer.from('null'),
        Buffer.from('\t'),
        record.value ?? Buffer.from('null'),
        Buffer.from('\n'),
      ])
  }
}

function textLine(record: RawRecord): string {
  const headers = record.headers.map(([name, value]) => `${name}=${shown(value, VALUE_SHOWN_BYTES)}`).join(' ')
  const parts = [`${record.partition}:${record.offset}`, timeText(record.timestamp), shown(record.key)]
  parts.push(shown(record.value, VALUE_SHOWN_BYTES))
  if (headers !== '') parts.push(`{${headers}}`)
  return parts.join('  ')
}

/** A record as JSON: bytes are strings when they are UTF-8, otherwise `{ "base64": … }`. */
export function recordJson(record: RawRecord): unknown {
  return {
    partition: record.partition,
    offset: record.offset,
    timestamp: record.timestamp,
    key: jsonBytes(record.key),
    value: jsonBytes(record.value),
    headers: record.headers.map(([name, value]) => [name, jsonBytes(value)]),
  }
}
