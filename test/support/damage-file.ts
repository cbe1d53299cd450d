/** Spoils a file where a text stands in it. */
import type { SimulatedFileSystem } from '../../src/base/memory-file-system.ts'

export function damageAt(fileSystem: SimulatedFileSystem, path: string, text: string): void {
  const file = fileSystem.openSync(path, 'write')
  const bytes = Buffer.alloc(fileSystem.statSync(path)!.size)
  file.readSync(bytes, 0)
  const at = bytes.indexOf(text)
  if (at === -1) throw new Error(`${path} has no '${text}'`)
  file.writeSync(Uint8Array.of(bytes[at]! ^ 1), at)
  file.closeSync()
}
