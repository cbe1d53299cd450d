/**
 * Removes a directory that the command made for itself.
 *
 * Holds    Links are removed, never followed.
 */
import { join } from 'node:path'
import type { FileSystem } from '../base/file-system.ts'

/** Removes `directory` and all that is in it; nothing happens when it is not there. */
export function removeTree(files: FileSystem, directory: string): void {
  if (files.statSync(directory)?.kind !== 'directory') return
  for (const { name, kind } of files.listSync(directory)) {
    const path = join(directory, name)
    if (kind === 'directory') removeTree(files, path)
    else files.unlinkSync(path)
  }
  files.removeDirectorySync(directory)
}
