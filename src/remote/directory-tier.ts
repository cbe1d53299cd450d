/**
 * `directoryTier`: a bucket in a directory.
 *
 * Owns     the check of its options.
 */
import { resolve } from 'node:path'
import { invalidOption, optionsObject } from '../base/checks.ts'
import { remoteLagOf, type Tier, type TierOptions } from '../base/tier.ts'
import { DirectoryObjectStore } from './directory-store.ts'

/** A tier in a directory: a mounted disk, a NAS, a test. Its first write makes the directory, one level. */
export function directoryTier(directory: string, options?: TierOptions): Tier {
  if (typeof directory !== 'string' || directory === '' || directory.includes('\0')) {
    throw invalidOption('directory', directory, 'the path of a directory')
  }
  const given = optionsObject(options, ['remoteLagMs'], '')
  const path = resolve(directory)
  return Object.freeze({
    '~varve': 'tier',
    place: `file://${path}`,
    remoteLagMs: remoteLagOf(given),
    open: (doors) => ({ objects: new DirectoryObjectStore(path, doors), close: () => undefined }),
  } satisfies Tier)
}
