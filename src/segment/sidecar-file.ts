/**
 * Reading a sidecar from its file.
 *
 * Owns     which of its bytes are read: the tail, of which a guess of 32 KiB mostly holds all. The blocks of the key
 *          index are read one by one by whoever looks a key up.
 * Holds    The file ends where the sidecar does. A length is checked against the file before memory is taken for it.
 *          Absent, damaged and unreadable are three answers.
 * Shared   synchronous.
 */
import { errnoOf, fileError } from '../base/errors.ts'
import type { File, FileSystem } from '../base/file-system.ts'
import { sidecarTailLength } from './sidecar-format.ts'
import { Sidecar } from './sidecar.ts'

const FIRST_GUESS = 32 * 1024
/** No tail is longer. */
const MOST_TAIL_BYTES = 64 * 1024 * 1024

/** The sidecar in the file `path` by its tail; `'damaged'`: not a whole one. */
export function readSidecarFile(fileSystem: FileSystem, path: string): Sidecar | 'damaged' | undefined {
  let file: File
  try {
    file = fileSystem.openSync(path, 'read')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw fileError(error, path, 'Reading a file')
  }
  try {
    return readSidecarTail(file, path) ?? 'damaged'
  } catch (error) {
    throw fileError(error, path, 'Reading a file')
  } finally {
    file.closeSync()
  }
}

/** The sidecar in an open file; undefined: not a whole one. */
export function readSidecarTail(file: File, path: string): Sidecar | undefined {
  const size = file.sizeSync()
  let bytes = readEnd(file, size, Math.min(size, FIRST_GUESS))
  const length = sidecarTailLength(bytes, path)
  if (length === undefined || length > Math.min(size, MOST_TAIL_BYTES)) return undefined
  if (length > bytes.byteLength) bytes = readEnd(file, size, length)
  const sidecar = Sidecar.decodeTail(bytes, path)
  return sidecar?.totalLength === size ? sidecar : undefined
}

function readEnd(file: File, size: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  return bytes.subarray(0, file.readSync(bytes, size - length))
}
