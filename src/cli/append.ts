/**
 * `varve append`: lines of standard input as records.
 *
 * Owns     how a line becomes a key and a value: bytes as they are, the newline left out.
 * Holds    A line that cannot be taken ends the command with its number; the lines before it are appended.
 */
import type { Command } from 'commander'
import type { Store } from '../base/api-store.ts'
import type { RawTopic } from '../base/api-topic.ts'
import { ByteStream } from './byte-stream.ts'
import { CliError } from './cli-error.ts'
import { counted, durationText } from './output.ts'
import type { Session } from './session.ts'

const NEWLINE = 10

/** How a line is read. */
export interface LineOptions {
  readonly keySeparator?: string
  readonly tombstone?: string
}

interface Options extends LineOptions {
  readonly create?: true
}

/** A record made of one line. */
export interface LineRecord {
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
}

export function addAppend(program: Command, session: Session): void {
  program
    .command('append')
    .summary('append the lines of standard input')
    .description('Appends each line of standard input as a record. Resolves when all are on the disk.')
    .argument('<topic>', 'its name')
    .option('--key-separator <text>', 'what stands between key and value; without it there is no key')
    .option('--tombstone <text>', 'a value that is exactly this deletes the key')
    .option('--create', 'make the topic when it is missing')
    .addHelpText(
      'after',
      "\nExample:\n  $ printf 'ada:1815\\nalan:1912\\n' | varve append people --key-separator : --create",
    )
    .action(async (name: string, options: Options) => {
      await using store = await session.writing(options.create === true)
      const topic = await store.topic(name, { create: options.create === true ? 'if-missing' : 'never' })
      const input = new ByteStream(process.stdin)
      const { result: records, ms } = await session.timed(() => {
        return appendAll(session, store, topic, lineRecords(input, options))
      })
      if (session.json) return await session.out.json({ topic: name, records, ms })
      return await session.out.line(`${counted(records, 'record')} appended to ${name} in ${durationText(ms)}.`)
    })
}

/** The records that the lines of `input` are. */
export async function* lineRecords(input: ByteStream, options: LineOptions): AsyncGenerator<LineRecord, void, void> {
  const separator = options.keySeparator === undefined ? undefined : Buffer.from(options.keySeparator, 'utf8')
  const tombstone = options.tombstone === undefined ? undefined : Buffer.from(options.tombstone, 'utf8')
  let number = 0
  for (let line = await input.until(NEWLINE); line !== undefined; line = await input.until(NEWLINE)) {
    number++
    const { key, value } = splitLine(line, separator, number)
    yield { key, value: tombstone?.equals(value) === true ? null : value }
  }
}

function splitLine(
  line: Uint8Array,
  separator: Uint8Array | undefined,
  number: number,
): { readonly key: Uint8Array | null; readonly value: Uint8Array } {
  if (separator === undefined) return { key: null, value: line }
  const at = Buffer.from(line.buffer, line.byteOffset, line.byteLength).indexOf(separator)
  if (at < 0) throw new CliError(`Line ${number} has no key separator. The lines before it were appended.`, 2)
  return { key: line.subarray(0, at), value: line.subarray(at + separator.byteLength) }
}

/** Appends what comes, durably at the end, and answers how many records it was. */
export async function appendAll(
  session: Session,
  store: Store,
  topic: RawTopic,
  records: AsyncIterable<LineRecord & { readonly timestamp?: number | undefined }>,
): Promise<number> {
  let appended = 0
  using _ = session.progress(() => `${counted(appended, 'record')} appended`)
  const writer = topic.writer({ durability: 'os' })
  try {
    for await (const record of records) {
      session.signal.throwIfAborted()
      if (!writer.write(record)) await writer.drained()
      appended++
    }
  } finally {
    await writer.close()
    await store.flush()
  }
  return appended
}
