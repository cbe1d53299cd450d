/**
 * Who a store is: its id, its secret, its writer epoch; and who writes to it now.
 *
 * Owns     `varve/identity` and `varve/writer`.
 * Holds    D13: the epoch rises durably before the first append of every open. The writer file holds a nonce; a writer
 *          that finds another one there has been replaced and writes no more.
 */
import { VarveError } from './base/errors.ts'
import type { FileStat, FileSystem } from './base/file-system.ts'
import type { Random } from './base/random.ts'
import { replaceFileUnsynced } from './metadata/replace-file.ts'
import { encodeStateFile, readStateFile, writeStateFile } from './metadata/state-file.ts'
import { StateReader } from './metadata/state-reader.ts'
import type { StorePaths } from './segment/segment-files.ts'

const IDENTITY_VERSION = 1
const WRITER_VERSION = 1

export interface Identity {
  /** 16 bytes. */
  readonly storeId: Uint8Array
  /** 16 bytes: the key of the hash that tells record keys apart. */
  readonly hashKey: Uint8Array
  /** Of the last writer; -1 before the first. */
  readonly epoch: number
  /** Largest time that was persisted, ms since 1970. */
  readonly largestMs: number
}

export function newIdentity(random: Random): Identity {
  return { storeId: random.bytes(16), hashKey: random.bytes(16), epoch: -1, largestMs: 0 }
}

export function readIdentity(fileSystem: FileSystem, paths: StorePaths): Identity | undefined {
  const body = readStateFile(fileSystem, paths.identity, 'identity', IDENTITY_VERSION)
  if (body === undefined) return undefined
  const reader = new StateReader(body, paths.identity)
  const identity = {
    storeId: reader.bytes(16),
    hashKey: reader.bytes(16),
    epoch: reader.integer(-1),
    largestMs: reader.integer(),
  }
  reader.end()
  return identity
}

export function writeIdentity(fileSystem: FileSystem, paths: StorePaths, identity: Identity): Promise<void> {
  const { storeId, hashKey, epoch, largestMs } = identity
  return writeStateFile(fileSystem, paths.identity, 'identity', IDENTITY_VERSION, [storeId, hashKey, epoch, largestMs])
}

/** The process that wrote last, when the file can be read. */
export function readWriterPid(fileSystem: FileSystem, paths: StorePaths): number | null {
  try {
    const body = readStateFile(fileSystem, paths.writer, 'writer', WRITER_VERSION)
    return body === undefined ? null : new StateReader(body, paths.writer).integer()
  } catch {
    return null
  }
}

/** Says in a file who writes, and notices when somebody else says so. */
export class WriterMark {
  readonly nonce: Uint8Array<ArrayBuffer>
  readonly #fileSystem: FileSystem
  readonly #paths: StorePaths
  readonly #epoch: number
  #stat: FileStat

  private constructor(
    fileSystem: FileSystem,
    paths: StorePaths,
    epoch: number,
    nonce: Uint8Array<ArrayBuffer>,
    stat: FileStat,
  ) {
    this.#fileSystem = fileSystem
    this.#paths = paths
    this.#epoch = epoch
    this.nonce = nonce
    this.#stat = stat
  }

  static take(fileSystem: FileSystem, paths: StorePaths, random: Random, epoch: number): WriterMark {
    const nonce = random.bytes(16)
    const body = encodeStateFile('writer', WRITER_VERSION, [fileSystem.processId, nonce])
    // Only running processes look at it, so it need not outlive the machine.
    replaceFileUnsynced(fileSystem, paths.writer, body)
    const stat = fileSystem.statSync(paths.writer)
    if (stat === undefined) throw fenced(epoch)
    return new WriterMark(fileSystem, paths, epoch, nonce, stat)
  }

  /** Throws STORE_FENCED when the file is not the one that this writer left. */
  check(): void {
    const stat = this.#fileSystem.statSync(this.#paths.writer)
    if (stat?.identity === this.#stat.identity && stat.modifiedMs === this.#stat.modifiedMs) return
    const body =
      stat === undefined ? undefined : readStateFile(this.#fileSystem, this.#paths.writer, 'writer', WRITER_VERSION)
    const nonce = body?.[1]
    const isOurs = nonce instanceof Uint8Array && Buffer.compare(nonce, this.nonce) === 0
    if (stat === undefined || !isOurs) throw fenced(this.#epoch)
    this.#stat = stat
  }
}

function fenced(epoch: number): VarveError<'STORE_FENCED'> {
  return new VarveError(
    'STORE_FENCED',
    'Another writer has taken this directory over. This store writes no more; close it, and open it again if that ' +
      'was ' +
      'not meant.',
    { epoch, currentEpoch: null, ranges: [] },
    { outcome: 'definite' },
  )
}
