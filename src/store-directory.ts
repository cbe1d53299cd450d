/**
 * Whether a directory is a store of ours.
 *
 * Holds    A directory that is neither ours nor empty is refused and nothing in it is touched.
 */
import { VarveError } from './base/errors.ts'
import type { FileSystem } from './base/file-system.ts'
import { META_PROPERTIES, parsePartitionDirectoryName } from './segment/segment-files.ts'
import type { StorePaths } from './segment/segment-files.ts'

/** Throws INVALID_OPTION unless the directory is a store, empty, or missing and may be made. */
export function checkOurs(fileSystem: FileSystem, paths: StorePaths, create: boolean): void {
  const stat = fileSystem.statSync(paths.root)
  if (stat === undefined) {
    if (!create) throw refuse(paths, 'does not exist', 'Create it with the option create, or check the path', 'create')
    return
  }
  if (stat.kind !== 'directory') throw refuse(paths, 'is no directory', 'Give the path of a directory', 'directory')
  if (fileSystem.statSync(paths.identity) !== undefined) return
  const names = fileSystem.listSync(paths.root).map((entry) => entry.name)
  // An open that was interrupted before there was an identity.
  if (names.every((name) => name === 'log' || name === 'varve') && isEmptyStart(fileSystem, paths)) {
    if (!create && names.length === 0)
      throw refuse(paths, 'holds no store', 'Create one with the option create', 'create')
    return
  }
  if (names.includes(META_PROPERTIES) || names.some((name) => parsePartitionDirectoryName(name) !== undefined)) {
    throw refuse(
      paths,
      'looks like a log directory of Kafka',
      'It was left untouched; give a directory of its own',
      'directory',
    )
  }
  throw refuse(paths, 'holds other files', 'It was left untouched; give an empty directory', 'directory')
}

/** Throws INVALID_OPTION unless there is a store. */
export function checkStore(fileSystem: FileSystem, paths: StorePaths): void {
  if (fileSystem.statSync(paths.identity) !== undefined) return
  throw refuse(paths, 'holds no store', 'Open it for writing once, or check the path', 'directory')
}

function isEmptyStart(fileSystem: FileSystem, paths: StorePaths): boolean {
  return fileSystem.statSync(paths.log) === undefined || fileSystem.listSync(paths.log).length === 0
}

function refuse(paths: StorePaths, what: string, advice: string, option: string): VarveError<'INVALID_OPTION'> {
  return new VarveError('INVALID_OPTION', `${paths.root} ${what}. ${advice}.`, { option, value: paths.root })
}
