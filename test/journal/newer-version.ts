/** Turns the first entry of a ring file into one of the next version, with a checksum that holds. */
import type { FileSystem } from '../../src/base/file-system.ts'
import { xxh64 } from '../../src/base/xxh64.ts'
import { JOURNAL_ENTRY_LAYOUT } from '../../src/journal/entry-format.ts'

export function encodeNewer(fs: FileSystem, path: string): void {
  const at = (name: string): number => JOURNAL_ENTRY_LAYOUT.find(([field]) => field === name)![1]
  const file = fs.openSync(path, 'write')
  const bytes = new Uint8Array(4096)
  file.readSync(bytes, 0)
  const view = new DataView(bytes.buffer)
  view.setUint8(at('version'), view.getUint8(at('version')) + 1)
  view.setBigUint64(at('hash'), xxh64(bytes.subarray(at('version'), view.getUint32(at('head bytes')))))
  file.writeSync(bytes, 0)
  file.closeSync()
}
