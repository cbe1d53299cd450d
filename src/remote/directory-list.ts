/**
 * Lists a tier in a directory as a bucket lists itself.
 *
 * Owns     the walk: names in the order of their UTF-8 bytes, and no directory entered that can hold none of them.
 * Holds    Only what `object-path.ts` could have made is an object.
 */
import { errnoOf } from '../base/errors.ts'
import type { DirectoryEntry, FileSystem } from '../base/file-system.ts'
import { compareNames } from '../base/object-name.ts'
import type { ListedObject, ListOptions } from '../base/object-store.ts'
import { TRAILER_BYTES } from './object-file.ts'
import { nameOfDirectory, nameOfFile } from './object-path.ts'

interface Found {
  /** Of a directory it ends in `/`. */
  readonly name: string
  readonly path: string
}

/** At most `limit` objects with the prefix, above `after`. */
export function listObjects(
  fileSystem: FileSystem,
  directory: string,
  prefix: string,
  { after, limit }: ListOptions,
): ListedObject[] {
  const listed: ListedObject[] = []
  for (const { name, path } of walk(fileSystem, { name: '', path: directory }, prefix, after)) {
    if (listed.length >= limit) break
    const stat = fileSystem.statSync(path)
    if (stat === undefined || stat.size < TRAILER_BYTES) continue
    listed.push({ name, size: stat.size - TRAILER_BYTES, modifiedMs: Math.floor(stat.modifiedMs) })
  }
  return listed
}

function* walk(fileSystem: FileSystem, at: Found, prefix: string, after: string | undefined): Generator<Found> {
  const found = entriesOf(fileSystem, at.path).flatMap((entry) => {
    const below = foundBelow(at, entry)
    return below === undefined ? [] : [below]
  })
  for (const entry of found.sort((a, b) => compareNames(a.name, b.name))) {
    if (!entry.name.endsWith('/')) {
      const isAsked = entry.name.startsWith(prefix) && (after === undefined || compareNames(entry.name, after) > 0)
      if (isAsked) yield entry
    } else if (mayHold(entry.name, prefix, after)) {
      yield* walk(fileSystem, entry, prefix, after)
    }
  }
}

function foundBelow(at: Found, { name: part, kind }: DirectoryEntry): Found | undefined {
  const path = `${at.path}/${part}`
  if (kind === 'directory') {
    const name = nameOfDirectory(part)
    return name === undefined ? undefined : { name: `${at.name}${name}/`, path }
  }
  const name = kind === 'file' ? nameOfFile(part) : undefined
  return name === undefined ? undefined : { name: at.name + name, path }
}

/** Whether names that begin with this directory's may be asked for. */
function mayHold(directory: string, prefix: string, after: string | undefined): boolean {
  if (!directory.startsWith(prefix) && !prefix.startsWith(directory)) return false
  return after === undefined || after.startsWith(directory) || compareNames(directory, after) > 0
}

/** A directory may have been looked up before anything stood in it. */
function entriesOf(fileSystem: FileSystem, path: string): DirectoryEntry[] {
  try {
    return fileSystem.listSync(path)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return []
    throw error
  }
}
