/**
 * Reads a small file at once.
 */
import type { FileSystem } from '../base/file-system.ts'
import { CliError } from './cli-error.ts'
import { count } from './output.ts'

/** What we hold in memory at most of one file. */
export const MAX_WHOLE_BYTES: number = 256 * 1024 * 1024

export function readWhole(files: FileSystem, path: string): Uint8Array<ArrayBuffer> {
  const file = files.openSync(path, 'read')
  try {
    const size = file.sizeSync()
    if (size > MAX_WHOLE_BYTES) throw new CliError(`${path} has ${count(size)} bytes: too many to show at once.`)
    const bytes = new Uint8Array(size)
    return bytes.subarray(0, file.readSync(bytes, 0))
  } finally {
    file.closeSync()
  }
}
