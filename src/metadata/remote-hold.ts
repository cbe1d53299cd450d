/**
 * What a directory knows of its place in the bucket: that it holds it, and what it wrote there last.
 *
 * Owns     the value and its state file (`varve/remote`). What follows from it is decided in `src/remote/fence.ts`.
 * Holds    Written before the write in the bucket that it tells of, so whatever of this directory is found there is in
 *          it: as what was known to have succeeded, or as what was tried last. A copy of the directory has the same
 *          file; the place tells them apart.
 * Shared   one writer.
 * Crash    the file before or after.
 */
import type { FileSystem } from '../base/file-system.ts'
import { readStateFile, writeStateFile } from './state-file.ts'
import { StateReader } from './state-reader.ts'

const REMOTE_HOLD_VERSION = 1

/** A commit chunk, told from all others. */
export interface ChunkId {
  readonly sequence: number
  /** 16 bytes. */
  readonly nonce: Uint8Array
}

export interface RemoteHold {
  /** Which directory this is: device and inode of a file in it, as text. */
  readonly place: string
  /** The nonce under which it held the fence last; `null`: never. */
  readonly held: Uint8Array | null
  /** The nonce under which it tried to take the fence, without knowing how that ended. */
  readonly tried: Uint8Array | null
  /** The newest chunk that this directory knows to be there: it wrote it, or was restored from it. */
  readonly chunk: ChunkId | null
  /** Chunks that it tried to write behind that one, without knowing how that ended. */
  readonly triedChunks: readonly ChunkId[]
}

/** Of a directory that has never seen a bucket. */
export function newRemoteHold(place: string): RemoteHold {
  return { place, held: null, tried: null, chunk: null, triedChunks: [] }
}

export function writeRemoteHold(fileSystem: FileSystem, path: string, hold: RemoteHold): Promise<void> {
  const { place, held, tried, chunk, triedChunks } = hold
  const body = [place, held, tried, chunk === null ? null : encodeChunk(chunk), triedChunks.map(encodeChunk)]
  return writeStateFile(fileSystem, path, 'remote', REMOTE_HOLD_VERSION, body)
}

/** The value; `undefined` when there is no file. Damaged: CORRUPT. */
export function readRemoteHold(fileSystem: FileSystem, path: string): RemoteHold | undefined {
  const body = readStateFile(fileSystem, path, 'remote', REMOTE_HOLD_VERSION)
  if (body === undefined) return undefined
  const reader = new StateReader(body, path)
  const hold = {
    place: reader.string(),
    held: reader.bytesOrNull(16),
    tried: reader.bytesOrNull(16),
    chunk: decodeChunkOrNull(reader.value(), path),
    triedChunks: reader.list((value) => decodeChunk(value, path)),
  }
  reader.end()
  return hold
}

function encodeChunk(chunk: ChunkId): readonly [number, Uint8Array] {
  return [chunk.sequence, chunk.nonce]
}

function decodeChunkOrNull(value: unknown, path: string): ChunkId | null {
  return value === null ? null : decodeChunk(value, path)
}

function decodeChunk(value: unknown, path: string): ChunkId {
  const reader = new StateReader(value, path)
  const chunk = { sequence: reader.integer(1), nonce: reader.bytes(16) }
  reader.end()
  return chunk
}

/** A value that is kept: changed in memory once it is durable. */
export class KeptHold {
  #value: RemoteHold
  /** The directory that has it now. */
  readonly place: string
  readonly #write: (hold: RemoteHold) => Promise<void>

  /** `value`: what was read. `write` makes a value durable. */
  constructor(value: RemoteHold, place: string, write: (hold: RemoteHold) => Promise<void>) {
    this.#value = value
    this.place = place
    this.#write = write
  }

  get value(): RemoteHold {
    return this.#value
  }

  /** Makes a change durable, and the directory its own. */
  async keep(change: Partial<Omit<RemoteHold, 'place'>>): Promise<void> {
    const next = { ...this.#value, ...change, place: this.place }
    await this.#write(next)
    this.#value = next
  }
}
