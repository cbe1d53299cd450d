/** What lies on a simulated disk, as one number: two disks with the same files and bytes have the same. */
import type { FileSystem } from '../../src/base/file-system.ts'
import { xxh64 } from '../../src/base/xxh64.ts'

/** Over all names and bytes below `directory`, but for the marks of a running writer, and over `more`. */
export function diskHash(fs: FileSystem, directory: string, more: string): string {
  const parts = [more]
  collect(fs, directory, parts)
  return xxh64(new TextEncoder().encode(parts.join('\n'))).toString(36)
}

function collect(fs: FileSystem, directory: string, parts: string[]): void {
  for (const { name, kind } of fs.listSync(directory)) {
    const path = `${directory}/${name}`
    if (kind === 'directory') {
      parts.push(path)
      collect(fs, path, parts)
    } else if (name !== 'marks') parts.push(`${path} ${hashOf(fs, path)}`)
  }
}

function hashOf(fs: FileSystem, path: string): string {
  const file = fs.openSync(path, 'read')
  try {
    const bytes = new Uint8Array(file.sizeSync())
    file.readSync(bytes, 0)
    return `${bytes.length} ${xxh64(bytes).toString(36)}`
  } finally {
    file.closeSync()
  }
}
