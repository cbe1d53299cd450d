/**
 * A small file, whole.
 *
 * Holds    Only ENOENT is "absent". A file above the bound is not read.
 */
import { errnoOf, fileError } from './errors.ts'
import type { File, FileSystem } from './file-system.ts'

/** The bytes of a file of at most `maxBytes`; undefined when there is none, or it is larger. */
export function readFileSync(
  fileSystem: FileSystem,
  path: string,
  maxBytes: number,
): Uint8Array<ArrayBuffer> | undefined {
  let file: File
  try {
    file = fileSystem.openSync(path, 'read')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw fileError(error, path, 'Reading a file')
  }
  try {
    const size = file.sizeSync()
    if (size > maxBytes) return undefined
    const bytes = new Uint8Array(size)
    return bytes.subarray(0, file.readSync(bytes, 0))
  } catch (error) {
    throw fileError(error, path, 'Reading a file')
  } finally {
    file.closeSync()
  }
}
