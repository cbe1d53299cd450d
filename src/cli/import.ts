/**
 * `varve import FILE.ndjson`: lines of JSON as records.
 *
 * Owns     how a path such as `.user.id` finds the key in a line. The value is the line itself, byte for byte.
 * Holds    Every line is parsed before it is appended; one that is not JSON, or has no key, ends the command with its
 *          number, and the lines before it are appended.
 */
import type { Command } from 'commander'
import type { FileSystem } from '../base/file-system.ts'
import { appendAll } from './append.ts'
import type { LineRecord } from './append.ts'
import { ByteStream } from './byte-stream.ts'
import { CliError } from './cli-error.ts'
import { counted, durationText, textOf } from './output.ts'
import type { Session } from './session.ts'

const NEWLINE = 10
const PIECE_BYTES = 1024 * 1024

interface Options {
  readonly topic: string
  readonly key?: string
  readonly timestamp?: string
  readonly create?: true
}

/** A record made of one line of JSON. */
export interface JsonRecord extends LineRecord {
  readonly timestamp: number | undefined
}

export function addImport(program: Command, session: Session): void {
  program
    .command('import')
    .summary('append the lines of a file of JSON')
    .description(
      'Appends each line of a file of JSON as a record. The value is the line as it stands; empty lines are skipped.',
    )
    .argument('<file>', 'a file with one JSON value a line, or - for standard input')
    .requiredOption('--topic <name>', 'the topic to append to')
    .option('--key <path>', 'where the key stands in a line, such as .id or .user.name or .ids[0]')
    .option('--timestamp <path>', 'where the time stands: ms since 1970, or an ISO date')
    .option('--create', 'make the topic when it is missing')
    .addHelpText('after', '\nExample:\n  $ varve import people.ndjson --topic people --key .id --create')
    .action(async (file: string, options: Options) => {
      const paths = { key: pathOf(options.key), timestamp: pathOf(options.timestamp) }
      const input = new ByteStream(file === '-' ? process.stdin : filePieces(session.files, file))
      await using store = await session.writing(options.create === true)
      const topic = await store.topic(options.topic, { create: options.create === true ? 'if-missing' : 'never' })
      const { result: records, ms } = await session.timed(() => {
        return appendAll(session, store, topic, jsonRecords(input, file, paths))
      })
      if (session.json) return await session.out.json({ topic: options.topic, records, ms })
      return await session.out.line(
        `${counted(records, 'record')} appended to ${options.topic} in ${durationText(ms)}.`,
      )
    })
}

/** The bytes of a file, piece by piece. */
export async function* filePieces(files: FileSystem, path: string): AsyncGenerator<Uint8Array, void, void> {
  const kind = files.statSync(path)?.kind
  if (kind !== 'file') throw new CliError(`${path} ${kind === undefined ? 'does not exist' : 'is no file'}.`, 2)
  const file = files.openSync(path, 'read')
  try {
    for (let position = 0; ;) {
      const piece = new Uint8Array(PIECE_BYTES)
      const length = await file.read(piece, position)
      if (length === 0) return
      yield piece.subarray(0, length)
      position += length
    }
  } finally {
    file.closeSync()
  }
}

/** Property names and array places, outermost first. */
export type JsonPath = readonly (string | number)[]

/** Parses `.a.b[0]["c d"]`; undefined for undefined. */
export function pathOf(text: string | undefined): JsonPath | undefined {
  if (text === undefined) return undefined
  const steps: (string | number)[] = []
  const pattern = /\.([A-Za-z_$][\w$-]*)|\[(\d+)\]|\.?\[("(?:[^"\\]|\\.)*")\]/y
  while (pattern.lastIndex < text.length) {
    const match = pattern.exec(text)
    if (match === null)
      throw new CliError(`${JSON.stringify(text)} is not a path such as .id, .user.name or .ids[0].`, 2)
    const [, name, place, quoted] = match
    steps.push(name ?? (place === undefined ? String(JSON.parse(quoted ?? '""')) : Number(place)))
  }
  if (steps.length === 0) throw new CliError('A path is needed, such as .id.', 2)
  return steps
}

/** What stands at `path` in a parsed value; undefined when nothing does. */
export function valueAt(value: unknown, path: JsonPath): unknown {
  let at = value
  for (const step of path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, step)) return undefined
    at = (at as Readonly<Record<string | number, unknown>>)[step]
  }
  return at
}

interface Paths {
  readonly key: JsonPath | undefined
  readonly timestamp: JsonPath | undefined
}

/** The records that the lines of `input` are. */
export async function* jsonRecords(
  input: ByteStream,
  file: string,
  paths: Paths,
): AsyncGenerator<JsonRecord, void, void> {
  let number = 0
  for (let line = await input.until(NEWLINE); line !== undefined; line = await input.until(NEWLINE)) {
    number++
    const place = `${file === '-' ? 'standard input' : file}:${number}`
    const value = line.at(-1) === 13 ? line.subarray(0, -1) : line
    if (value.byteLength === 0) continue
    const parsed = paths.key === undefined && paths.timestamp === undefined ? undefined : parse(value, place)
    if (parsed === undefined) parse(value, place)
    const key = paths.key === undefined ? null : keyBytes(valueAt(parsed, paths.key), place)
    const timestamp = paths.timestamp === undefined ? undefined : timeOf(valueAt(parsed, paths.timestamp), place)
    yield { key, value, timestamp }
  }
}

const APPENDED = 'The lines before it were appended.'

function parse(line: Uint8Array, place: string): unknown {
  try {
    return JSON.parse(textOf(line) ?? '') as unknown
  } catch {
    throw new CliError(`${place}: not JSON. ${APPENDED}`, 2)
  }
}

function keyBytes(key: unknown, place: string): Uint8Array {
  if (typeof key === 'string') return Buffer.from(key, 'utf8')
  if (typeof key === 'number' || typeof key === 'boolean') return Buffer.from(String(key), 'utf8')
  throw new CliError(
    `${place}: the key is ${key === undefined ? 'missing' : 'neither text nor a number'}. ${APPENDED}`,
    2,
  )
}

function timeOf(value: unknown, place: string): number {
  const ms = typeof value === 'number' ? value : typeof value === 'string' ? Date.parse(value) : NaN
  if (Number.isSafeInteger(ms)) return ms
  throw new CliError(`${place}: the timestamp is neither ms since 1970 nor a date. ${APPENDED}`, 2)
}
