/**
 * Replacing a small file as a whole.
 *
 * Owns     the steps, and what `.tmp` means: a file that has not got its name yet.
 *   1  write and sync `<path>.tmp`       crash: a leftover, removed by the next replacement or at open
 *   2  rename it to `<path>`             crash: the old file or the new one, whole
 *   3  sync the directory                from here on the new one stays
 * Shared   one replacement of a path at a time.
 */
import { dirname } from 'node:path'
import { fileError } from '../base/errors.ts'
import type { File, FileSystem } from '../base/file-system.ts'

/** What a file is called until it has its name. */
export const TEMPORARY_SUFFIX = '.tmp'

/** Makes `bytes` the content of `path`, durably. */
export async function replaceFile(fileSystem: FileSystem, path: string, bytes: Uint8Array): Promise<void> {
  let outcome: 'definite' | 'indefinite' = 'definite'
  try {
    const file = startFile(fileSystem, path, bytes)
    try {
      await file.syncData()
    } finally {
      file.closeSync()
    }
    outcome = 'indefinite'
    fileSystem.renameSync(path + TEMPORARY_SUFFIX, path)
    await fileSystem.syncDirectory(dirname(path))
  } catch (error) {
    throw fileError(error, path, 'replacing a file', { outcome })
  }
}

/** The same without waiting for the disk: for what can be lost, such as an export. After a crash it may be torn. */
export function replaceFileUnsynced(fileSystem: FileSystem, path: string, bytes: Uint8Array): void {
  try {
    startFile(fileSystem, path, bytes).closeSync()
    fileSystem.renameSync(path + TEMPORARY_SUFFIX, path)
  } catch (error) {
    throw fileError(error, path, 'replacing a file', { outcome: 'indefinite' })
  }
}

/** All of a file of at most `maxBytes`; `undefined` when there is none, `'too-large'` when it cannot be one of ours. */
export function readWholeFile(
  fileSystem: FileSystem,
  path: string,
  maxBytes: number,
): Uint8Array<ArrayBuffer> | 'too-large' | undefined {
  try {
    if (fileSystem.statSync(path) === undefined) return undefined
    const file = fileSystem.openSync(path, 'read')
    try {
      const size = file.sizeSync()
      if (size > maxBytes) return 'too-large'
      const bytes = new Uint8Array(size)
      return bytes.subarray(0, file.readSync(bytes, 0))
    } finally {
      file.closeSync()
    }
  } catch (error) {
    throw fileError(error, path, 'reading a file')
  }
}

function startFile(fileSystem: FileSystem, path: string, bytes: Uint8Array): File {
  const temporary = path + TEMPORARY_SUFFIX
  if (fileSystem.statSync(temporary) !== undefined) fileSystem.unlinkSync(temporary)
  const file = fileSystem.openSync(temporary, 'create')
  try {
    file.writeSync(bytes, 0)
    return file
  } catch (error) {
    file.closeSync()
    throw error
  }
}
