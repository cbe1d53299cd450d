/**
 * What a directory knows of its objects in the bucket that no commit tells: copies under way, and copies given up.
 *
 * Owns     the value and its state file (`varve/remote-copies`): the store's own part of the remote log metadata, in
 *          the same records. A copy is in it from before its first byte is sent until a commit names it, or until
 *          nothing of it is left. Beside them the ends of the logs in the bucket, as they were acknowledged last.
 * Holds    Written before the step in the bucket that it tells of. So whatever a crash leaves there is named in a
 *          commit or in here; what is in both is committed. An attempt of another life that was given up is forgotten
 *          only when it was deleted in a later one: what was still on its way then has arrived.
 * Shared   changes run one after the other.
 * Crash    the file before or after.
 */
import { VarveError } from '../base/errors.ts'
import { asBuffer } from '../base/text.ts'
import type { FileSystem } from '../base/file-system.ts'
import { SerialQueue } from '../base/serial-queue.ts'
import { decodeRemoteRecord, encodeRemoteRecord, type RemoteRecord, type RemoteSegment } from './remote-record.ts'
import { damagedState, readStateFile, writeStateFile } from './state-file.ts'
import { StateReader } from './state-reader.ts'

const REMOTE_COPIES_VERSION = 1

export interface RemoteCopies {
  /** Under which it held the fence last; -1: never. The next open takes a greater one. */
  readonly epoch: number
  /** Of logs that have segments in the bucket: the offset behind the last one. */
  readonly ends: ReadonlyMap<number, number>
  /** Copies that began, and those that are given up and to be deleted. */
  readonly attempts: readonly RemoteRecord[]
}

export const NO_COPIES: RemoteCopies = { epoch: -1, ends: new Map(), attempts: [] }

export function writeRemoteCopies(fileSystem: FileSystem, path: string, copies: RemoteCopies): Promise<void> {
  const body = [copies.epoch, [...copies.ends].flat(), copies.attempts.map(encodeRemoteRecord)]
  return writeStateFile(fileSystem, path, 'remote-copies', REMOTE_COPIES_VERSION, body)
}

/** The value; nothing when there is no file. Damaged: CORRUPT. */
export function readRemoteCopies(fileSystem: FileSystem, path: string): RemoteCopies {
  const body = readStateFile(fileSystem, path, 'remote-copies', REMOTE_COPIES_VERSION)
  if (body === undefined) return NO_COPIES
  const reader = new StateReader(body, path)
  const epoch = reader.integer(-1)
  const ends = endsOf(reader.integers(), path)
  const attempts = reader.list((value) => decodeAttempt(value, path))
  reader.end()
  return { epoch, ends, attempts }
}

/** The same for who can do without: nothing when it is damaged. The tier is refused then. */
export function soundRemoteCopies(fileSystem: FileSystem, path: string): RemoteCopies {
  try {
    return readRemoteCopies(fileSystem, path)
  } catch (error) {
    if (VarveError.is(error, 'CORRUPT') || VarveError.is(error, 'VERSION_UNSUPPORTED')) return NO_COPIES
    throw error
  }
}

function endsOf(flat: readonly number[], path: string): Map<number, number> {
  const ends = new Map<number, number>()
  for (let i = 0; i < flat.length; i += 2) {
    const [logId, end] = [flat[i]!, flat[i + 1]]
    if (end === undefined || ends.has(logId)) throw damagedState(path, 'holds ends of logs without order')
    ends.set(logId, end)
  }
  return ends
}

function decodeAttempt(value: unknown, path: string): RemoteRecord {
  if (!(value instanceof Uint8Array)) throw damagedState(path, 'holds an attempt that cannot be read')
  const record = decodeRemoteRecord(value, path)
  const isOpen = record.state === 'copy-started' || record.state === 'delete-started'
  if (!isOpen) throw damagedState(path, `holds an attempt that is ${record.state}`)
  return record
}

/** A value that is kept: changed in memory once it is durable. */
export class KeptCopies {
  #value: RemoteCopies
  readonly #changes = new SerialQueue()
  readonly #write: (copies: RemoteCopies) => Promise<void>
  /** Given up in an earlier life. */
  readonly #old: ReadonlySet<string>
  /** Deleted in this life. */
  readonly #deleted = new Set<string>()

  /** `write` makes a value durable. */
  constructor(value: RemoteCopies, write: (copies: RemoteCopies) => Promise<void>) {
    this.#value = value
    this.#write = write
    this.#old = idsOf(value.attempts.filter(({ state }) => state === 'delete-started'))
  }

  get value(): RemoteCopies {
    return this.#value
  }

  /** The fence is held under this epoch. */
  hold(epoch: number): Promise<void> {
    return this.#change(() => ({ epoch }))
  }

  /** Copies are about to begin. */
  begin(segments: readonly RemoteSegment[]): Promise<void> {
    const begun = segments.map((segment): RemoteRecord => ({ ...segment, state: 'copy-started' }))
    return this.#change(({ attempts }) => ({ attempts: [...attempts, ...begun] }))
  }

  /** Copies are given up; their objects are about to be deleted. */
  abandon(segments: readonly RemoteSegment[]): Promise<void> {
    const ids = idsOf(segments)
    const abandoned = (record: RemoteRecord): RemoteRecord =>
      ids.has(idOf(record)) ? { ...record, state: 'delete-started' } : record
    return this.#change(({ attempts }) => ({ attempts: attempts.map(abandoned) }))
  }

  /** A commit names them, or nothing of them is left. `ends`: of all logs in the bucket now. */
  forget(segments: readonly RemoteSegment[], ends: ReadonlyMap<number, number>): Promise<void> {
    const ids = idsOf(segments)
    return this.#change(({ attempts }) => ({ ends, attempts: attempts.filter((record) => !ids.has(idOf(record))) }))
  }

  /** Those that are given up and were not deleted in this life. */
  toDelete(): RemoteRecord[] {
    const { attempts } = this.#value
    return attempts.filter((record) => record.state === 'delete-started' && !this.#deleted.has(idOf(record)))
  }

  /** Their objects are deleted. */
  async deleted(segments: readonly RemoteSegment[]): Promise<void> {
    for (const segment of segments) this.#deleted.add(idOf(segment))
    const over = segments.filter((segment) => this.#old.has(idOf(segment)))
    if (over.length > 0) await this.forget(over, this.#value.ends)
  }

  #change(change: (value: RemoteCopies) => Partial<RemoteCopies>): Promise<void> {
    return this.#changes.run(async () => {
      const next = { ...this.#value, ...change(this.#value) }
      await this.#write(next)
      this.#value = next
    })
  }
}

function idsOf(segments: readonly RemoteSegment[]): ReadonlySet<string> {
  return new Set(segments.map(idOf))
}

/** Attempt ids are never given twice. */
function idOf({ attempt }: RemoteSegment): string {
  return asBuffer(attempt).toString('latin1')
}
