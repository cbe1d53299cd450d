/**
 * Whether all that a hand-over moves and changes can be moved and changed.
 *
 * Owns     the looks at kinds and rights before the first change: a link, a folder or a device in the place of a file
 *          would be met when folders have been moved already, and so would a file of another user.
 * Holds    Reads only: a data file is opened for writing, and nothing is written.
 */
import { errnoOf } from './base/errors.ts'
import type { DirectoryEntry, FileSystem } from './base/file-system.ts'
import {
  CLEAN_SHUTDOWN,
  CLEANER_CHECKPOINT,
  isPartitionFile,
  joinPath,
  LOG_START_CHECKPOINT,
  parseSegmentFileName,
  RECOVERY_POINT_CHECKPOINT,
  REPLICATION_CHECKPOINT,
} from './segment/segment-files.ts'
import type { StorePaths } from './segment/segment-files.ts'

/** What belongs to the partitions, in the root of a log directory. */
export const CHECKPOINTS: readonly string[] = [
  RECOVERY_POINT_CHECKPOINT,
  LOG_START_CHECKPOINT,
  REPLICATION_CHECKPOINT,
  CLEANER_CHECKPOINT,
  CLEAN_SHUTDOWN,
]

/** What stands in the way, as a sentence about `directory`, which has these partition folders; undefined: nothing. */
export function obstacle(
  fileSystem: FileSystem,
  paths: StorePaths,
  directory: string,
  folders: readonly string[],
): string | undefined {
  for (const path of [directory, paths.log, paths.varve]) {
    const kind = fileSystem.statSync(path)?.kind ?? 'directory'
    if (kind !== 'directory') return `has ${path}, which is no folder`
  }
  for (const name of CHECKPOINTS) {
    const kind = fileSystem.statSync(joinPath(directory, name))?.kind ?? 'file'
    if (kind !== 'file') return notAFile({ name, kind })
  }
  const owned = [directory, ...folders.map((folder) => joinPath(directory, folder))]
  const locked = owned.find((path) => !fileSystem.isWritableSync(path))
  if (locked !== undefined) return `may not be changed: no files can be made and removed in ${locked} (whose is it?)`
  return firstOf(folders, (folder) => obstacleIn(fileSystem, directory, folder))
}

function obstacleIn(fileSystem: FileSystem, directory: string, folder: string): string | undefined {
  const entries = fileSystem.listSync(joinPath(directory, folder)).filter(({ name }) => isPartitionFile(name))
  return firstOf(entries, ({ name, kind }) => {
    const path = `${folder}/${name}`
    if (kind !== 'file') return notAFile({ name: path, kind })
    if (parseSegmentFileName(name)?.kind !== 'log') return undefined
    const error = openingFails(fileSystem, joinPath(directory, path))
    return error === undefined ? undefined : `holds ${path}, which cannot be opened for reading and writing (${error})`
  })
}

function openingFails(fileSystem: FileSystem, path: string): string | undefined {
  try {
    fileSystem.openSync(path, 'write').closeSync()
    return undefined
  } catch (error) {
    const code = errnoOf(error)
    // Too many open files, or a broken disk: nothing is wrong with the directory.
    if (code !== 'EACCES' && code !== 'EPERM' && code !== 'EROFS' && code !== 'ETXTBSY') throw error
    return code
  }
}

function notAFile({ name, kind }: DirectoryEntry): string {
  return `holds ${name}, which is ${kind === 'directory' ? 'a folder' : 'a link or a device'} and no file`
}

function firstOf<T>(items: readonly T[], look: (item: T) => string | undefined): string | undefined {
  for (const item of items) {
    const found = look(item)
    if (found !== undefined) return found
  }
  return undefined
}
