/**
 * Whether a directory is a store of ours.
 *
 * Holds    A directory that is neither ours nor empty is refused and nothing in it is touched.
 */
import { VarveError } from './base/errors.ts'
import type { FileSystem } from './base/file-system.ts'
import { META_PROPERTIES, parsePartitionDirectoryName } from './segment/segment-files.ts'
import type { StorePaths } from './segment/segment-files.ts'

const TAKE_OVER =
  'It was left untouched; stop the broker and open it for writing with the option adopt: true, which takes it over ' +
  '(the command: varve adopt), or give a directory of its own'

/**
 * Throws INVALID_OPTION unless the directory is a store, empty, missing and may be made, or Kafka's and may be taken
 * over.
 */
export function checkOurs(fileSystem: FileSystem, paths: StorePaths, create: boolean, adopt: boolean): void {
  const stat = fileSystem.statSync(paths.root)
  if (stat === undefined) {
    if (!create) throw refuse(paths, 'does not exist', 'Create it with the option create, or check the path', 'create')
    return
  }
  if (stat.kind !== 'directory') throw refuse(paths, 'is no directory', 'Give the path of a directory', 'directory')
  if (isBegun(fileSystem, paths) || fileSystem.statSync(paths.identity) !== undefined) return
  const names = fileSystem.listSync(paths.root).map((entry) => entry.name)
  // An open that was interrupted before there was an identity.
  if (names.every((name) => name === 'log' || name === 'varve') && isEmptyStart(fileSystem, paths)) {
    if (!create && names.length === 0)
      throw refuse(paths, 'holds no store', 'Create one with the option create', 'create')
    return
  }
  const source = adoptionSource(fileSystem, paths)
  if (source !== undefined && !adopt) throw refuse(paths, 'looks like a log directory of Kafka', TAKE_OVER, 'adopt')
  if (source === 'root' && !isEmptyStart(fileSystem, paths)) {
    throw refuse(
      paths,
      'holds partitions of Kafka, and log/ too',
      'It was left untouched; take one of them away',
      'adopt',
    )
  }
  if (source !== undefined) return
  throw refuse(paths, 'holds other files', 'It was left untouched; give an empty directory', 'directory')
}

/**
 * Where the partition folders are in a directory that Kafka wrote and that is no store; undefined: it did not. `log`:
 * it is laid out as a store that has nothing but its log directory.
 */
export function adoptionSource(fileSystem: FileSystem, paths: StorePaths): 'root' | 'log' | undefined {
  if (fileSystem.statSync(paths.identity) !== undefined) return undefined
  if (isKafkas(fileSystem, paths.root)) return 'root'
  return isKafkas(fileSystem, paths.log) ? 'log' : undefined
}

function isKafkas(fileSystem: FileSystem, directory: string): boolean {
  if (fileSystem.statSync(directory)?.kind !== 'directory') return false
  const names = fileSystem.listSync(directory).map((entry) => entry.name)
  return names.includes(META_PROPERTIES) || names.some((name) => parsePartitionDirectoryName(name) !== undefined)
}

/** It is being taken over from Kafka. */
function isBegun(fileSystem: FileSystem, paths: StorePaths): boolean {
  return fileSystem.statSync(paths.adopting) !== undefined
}

/** Throws INVALID_OPTION unless there is a store. */
export function checkStore(fileSystem: FileSystem, paths: StorePaths): void {
  if (isBegun(fileSystem, paths)) {
    throw refuse(paths, 'is being taken over from Kafka', 'Open it for writing once, which finishes that', 'mode')
  }
  if (fileSystem.statSync(paths.identity) !== undefined) return
  const isKafka = adoptionSource(fileSystem, paths) !== undefined
  if (isKafka) throw refuse(paths, 'looks like a log directory of Kafka', TAKE_OVER, 'adopt')
  throw refuse(paths, 'holds no store', 'Open it for writing once, or check the path', 'directory')
}

function isEmptyStart(fileSystem: FileSystem, paths: StorePaths): boolean {
  return fileSystem.statSync(paths.log) === undefined || fileSystem.listSync(paths.log).length === 0
}

function refuse(paths: StorePaths, what: string, advice: string, option: string): VarveError<'INVALID_OPTION'> {
  return new VarveError('INVALID_OPTION', `${paths.root} ${what}. ${advice}.`, { option, value: paths.root })
}
