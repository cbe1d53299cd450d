/**
 * State files: the small truths under `varve/`, each checksummed and replaced as a whole.
 *
 *   offset  size  field            (big-endian: docs/format.md, "State files")
 *   0       8     magic
 *   8       2     kind
 *   10      2     version
 *   12      4     body length
 *   16      ...   body             (MessagePack, one array)
 *   end-8   8     hash             (XXH64 of everything before it)
 *
 * Owns     the frame, the kinds, and reading and writing. What a body means belongs to the kind.
 * Holds    Absent, damaged and newer are three answers. A body holds no maps: nothing in it can be there twice.
 * Shared   one writer per path.
 * Crash    the old file or the new one (`replace-file.ts`).
 */
import { VarveError } from '../base/errors.ts'
import type { FileSystem } from '../base/file-system.ts'
import type { Layout } from '../base/layout.ts'
import { pack, unpack } from '../base/msgpack.ts'
import { xxh64 } from '../base/xxh64.ts'
import { readWholeFile, replaceFile } from './replace-file.ts'

/** What a state file is about, and its number on disk. Numbers are never given again. */
export const STATE_KINDS = {
  identity: 1,
  catalog: 2,
  'close-record': 3,
  writer: 4,
  clock: 5,
  adopting: 6,
  remote: 7,
  'remote-copies': 8,
} as const

export type StateKind = keyof typeof STATE_KINDS

/** 'VARVESTA'. */
const MAGIC_HIGH = 0x56415256
const MAGIC_LOW = 0x45535441

const MAGIC = 0
const KIND = MAGIC + 8
const VERSION = KIND + 2
const BODY_LENGTH = VERSION + 2
const BODY = BODY_LENGTH + 4
const HASH_SIZE = 8

export const STATE_FILE_LAYOUT: Layout = [
  ['magic', MAGIC, 8],
  ['kind', KIND, 2],
  ['version', VERSION, 2],
  ['body length', BODY_LENGTH, 4],
  ['body', BODY, 0],
]

const MAX_STATE_BYTES = 256 * 1024 * 1024

/** What a body may consist of. Bytes come back as they went in. */
export type StateValue = null | boolean | number | string | Uint8Array | readonly StateValue[]

/** Replaces the file, durably. */
export function writeStateFile(
  fileSystem: FileSystem,
  path: string,
  kind: StateKind,
  version: number,
  value: readonly StateValue[],
): Promise<void> {
  return replaceFile(fileSystem, path, encodeStateFile(kind, version, value))
}

/** The body; `undefined` when there is no file. Damaged: CORRUPT. Newer than `version`: VERSION_UNSUPPORTED. */
export function readStateFile(
  fileSystem: FileSystem,
  path: string,
  kind: StateKind,
  version: number,
): readonly unknown[] | undefined {
  const bytes = readWholeFile(fileSystem, path, MAX_STATE_BYTES)
  if (bytes === undefined) return undefined
  if (bytes === 'too-large') throw damagedState(path, 'is larger than any that Varve writes')
  return decodeStateFile(bytes, path, kind, version)
}

export function encodeStateFile(
  kind: StateKind,
  version: number,
  value: readonly StateValue[],
): Uint8Array<ArrayBuffer> {
  const body = pack(value)
  const bytes = new Uint8Array(BODY + body.byteLength + HASH_SIZE)
  const view = new DataView(bytes.buffer)
  view.setUint32(MAGIC, MAGIC_HIGH)
  view.setUint32(MAGIC + 4, MAGIC_LOW)
  view.setUint16(KIND, STATE_KINDS[kind])
  view.setUint16(VERSION, version)
  view.setUint32(BODY_LENGTH, body.byteLength)
  bytes.set(body, BODY)
  const hashPosition = BODY + body.byteLength
  view.setBigUint64(hashPosition, xxh64(bytes.subarray(0, hashPosition)))
  return bytes
}

/** The body of a state file of this kind. */
export function decodeStateFile(bytes: Uint8Array, path: string, kind: StateKind, version: number): readonly unknown[] {
  const found = checkFrame(bytes, path)
  if (found.kind !== STATE_KINDS[kind]) throw damagedState(path, `is not of the kind ${kind}`)
  if (found.version > version) {
    const message = `${path} has version ${found.version}; this Varve knows ${version}. Update Varve.`
    throw new VarveError('VERSION_UNSUPPORTED', message, { path, found: found.version, supported: version })
  }
  return stateArray(unpackBody(bytes, path), path)
}

/** Kind and version of any state file, for tools. Damaged: CORRUPT. */
export function describeStateFile(
  bytes: Uint8Array,
  path: string,
): { kind: StateKind | undefined; version: number; body: readonly unknown[] } {
  const found = checkFrame(bytes, path)
  const kind = (Object.keys(STATE_KINDS) as StateKind[]).find((name) => STATE_KINDS[name] === found.kind)
  return { kind, version: found.version, body: stateArray(unpackBody(bytes, path), path) }
}

function checkFrame(bytes: Uint8Array, path: string): { kind: number; version: number } {
  const hashPosition = bytes.byteLength - HASH_SIZE
  if (hashPosition < BODY) throw damagedState(path, 'is cut short')
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.getUint32(MAGIC) !== MAGIC_HIGH || view.getUint32(MAGIC + 4) !== MAGIC_LOW) {
    throw damagedState(path, 'does not begin as a state file does')
  }
  if (view.getUint32(BODY_LENGTH) !== hashPosition - BODY) throw damagedState(path, 'has another length than it says')
  if (view.getBigUint64(hashPosition) !== xxh64(bytes.subarray(0, hashPosition))) {
    throw damagedState(path, 'does not have the checksum that it was written with')
  }
  return { kind: view.getUint16(KIND), version: view.getUint16(VERSION) }
}

function unpackBody(bytes: Uint8Array, path: string): unknown {
  try {
    return unpack(bytes.subarray(BODY, bytes.byteLength - HASH_SIZE))
  } catch {
    throw damagedState(path, 'has a body that cannot be read')
  }
}

function stateArray(body: unknown, path: string): readonly unknown[] {
  if (!Array.isArray(body)) throw damagedState(path, 'has a body that is not an array')
  return body
}

/** A state file that is not what was written. */
export function damagedState(path: string, what: string): VarveError<'CORRUPT'> {
  const message = `${path} ${what}. Take the file from a copy of the store, or restore the store.`
  return new VarveError('CORRUPT', message, { path, position: null })
}
