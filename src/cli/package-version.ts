/**
 * The version of the package that we run from.
 */
import { fileURLToPath } from 'node:url'
import type { FileSystem } from '../base/file-system.ts'
import { readWhole } from './read-whole.ts'
import { textOf } from './output.ts'

export function packageVersion(files: FileSystem): string {
  const path = fileURLToPath(new URL('../../package.json', import.meta.url))
  const { version } = JSON.parse(textOf(readWhole(files, path)) ?? '{}') as { readonly version?: unknown }
  return String(version)
}
