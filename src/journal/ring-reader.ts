/**
 * The ring as it lies on disk, for reading.
 *
 * Owns     which ring files there are, and the bytes of one of them at a time. Writes nothing.
 * Holds    Memory is bounded by one file. A ring file beyond `MAX_FILE_BYTES` is not ours and is refused.
 *          Unreadable is not absent: an errno becomes an error, never an end of the chain.
 * Shared   one user; all calls are synchronous.
 */
import { fileError, VarveError } from '../base/errors.ts'
import type { FileSystem } from '../base/file-system.ts'
import { joinPath, parseJournalFileName } from '../segment/segment-files.ts'
import { decodeMark } from './chain-mark.ts'
import type { ChainMark } from './chain-mark.ts'
import { decodeHeader, decodeTables } from './entry-decode.ts'
import { BLOCK_SIZE, JOURNAL_VERSION, NONCE_SIZE } from './entry-format.ts'
import type { EntryHead, EntryHeader } from './entry-format.ts'

/** Numbers and positions of ring files are unsigned 32-bit numbers, and one file is read at once. */
export const MAX_FILE_BYTES: number = 1024 * 1024 * 1024
export const MAX_FILE_NUMBER = 0xffff_ffff

/** One file of the ring. */
export interface RingFileFacts {
  readonly number: number
  readonly path: string
  readonly size: number
}

/** The files of the ring in `directory`, by number; none when there is no such directory. */
export function listRing(fs: FileSystem, directory: string): RingFileFacts[] {
  if (fs.statSync(directory) === undefined) return []
  const files: RingFileFacts[] = []
  for (const entry of fs.listSync(directory)) {
    const number = parseJournalFileName(entry.name)
    if (number === undefined || number > MAX_FILE_NUMBER || entry.kind !== 'file') continue
    const path = joinPath(directory, entry.name)
    const size = fs.statSync(path)?.size ?? 0
    if (size > MAX_FILE_BYTES) throw journalDamage(path, null, `it has ${size} bytes`)
    files.push({ number, path, size })
  }
  return files
}

/** What is said of a journal that cannot be believed. */
export function journalDamage(path: string, position: number | null, what: string): VarveError<'CORRUPT'> {
  const where = position === null ? path : `${path} at ${position}`
  return new VarveError(
    'CORRUPT',
    `The journal is damaged: ${where}: ${what}. It may hold acknowledged records that are nowhere else: ` +
      'save the directory, then restore it from a copy or from the bucket.',
    { path, position },
  )
}

export function isSameNonce(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 0; i < NONCE_SIZE; i++) if (a[i] !== b[i]) return false
  return true
}

export class RingReader {
  readonly files: readonly RingFileFacts[]
  readonly #fs: FileSystem
  #loaded: RingFileFacts | undefined
  #buffer: Uint8Array<ArrayBuffer> = new Uint8Array(0)
  #bytes: Uint8Array<ArrayBuffer> = this.#buffer
  #view: DataView<ArrayBuffer> = new DataView(this.#buffer.buffer)

  constructor(fs: FileSystem, directory: string) {
    this.#fs = fs
    this.files = readable('The journal', directory, () => listRing(fs, directory))
  }

  /** The header at `position`, or `undefined` when no entry begins there. Only a file's start tells a newer version. */
  headerAt(file: RingFileFacts, position: number): EntryHeader | undefined {
    this.#load(file)
    const room = this.#bytes.length - position
    const header = decodeHeader(this.#bytes, this.#view, position, { file: file.number, position, room })
    if (header === undefined || header.version === JOURNAL_VERSION) return header
    if (position > 0) return undefined
    throw new VarveError(
      'VERSION_UNSUPPORTED',
      `${file.path} was written by a newer Varve (format ${header.version}, known up to ${JOURNAL_VERSION}). ` +
        'Update Varve.',
      { path: file.path, found: header.version, supported: JOURNAL_VERSION },
    )
  }

  /** The tables behind a header that stands in this file. */
  tablesOf(file: RingFileFacts, header: EntryHeader): EntryHead | undefined {
    this.#load(file)
    return decodeTables(this.#view, header.position, header)
  }

  /** Bytes [start, end) of the file, valid until another file is asked for. */
  bytesOf(file: RingFileFacts, start: number, end: number): Uint8Array {
    this.#load(file)
    return this.#bytes.subarray(start, end)
  }

  /** The mark in the last block of the file. */
  markOf(file: RingFileFacts): ChainMark | undefined {
    this.#load(file)
    return decodeMark(this.#bytes, this.#view, file.size - BLOCK_SIZE, file.number)
  }

  #load(file: RingFileFacts): void {
    if (this.#loaded === file) return
    this.#loaded = undefined
    if (this.#buffer.length < file.size) this.#buffer = new Uint8Array(file.size)
    const into = this.#buffer.subarray(0, file.size)
    const count = readable('The journal', file.path, () => readWhole(this.#fs, file.path, into))
    this.#bytes = into.subarray(0, count)
    this.#view = new DataView(into.buffer, 0, count)
    this.#loaded = file
  }
}

function readWhole(fs: FileSystem, path: string, into: Uint8Array): number {
  const file = fs.openSync(path, 'read')
  try {
    return file.readSync(into, 0)
  } finally {
    file.closeSync()
  }
}

/** Runs a call of the door; its errno becomes an error that names the file. */
function readable<T>(what: string, path: string, call: () => T): T {
  try {
    return call()
  } catch (error) {
    throw fileError(error, path, what)
  }
}
