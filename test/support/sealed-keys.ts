/**
 * What the sidecars of a store say of its keys, and what its data files do, read by themselves.
 */
import { expect } from 'vitest'
import type { FileSystem } from '../../src/base/file-system.ts'
import { KeyHasher } from '../../src/base/siphash.ts'
import { secretCheckOf } from '../../src/index/key-index.ts'
import { BatchScan } from '../../src/segment/batch-scan.ts'
import { RecordCursor } from '../../src/segment/record-cursor.ts'
import { parseSegmentFileName, storePaths } from '../../src/segment/segment-files.ts'
import { Sidecar } from '../../src/segment/sidecar.ts'
import { readIdentity } from '../../src/store-identity.ts'
import { bufferOf } from '../segment/batch-support.ts'
import { entriesIn } from './key-index.ts'
import type { KeyEntry } from './key-index.ts'

export function wholeFile(fs: FileSystem, path: string): Uint8Array<ArrayBuffer> {
  const file = fs.openSync(path, 'read')
  const bytes = new Uint8Array(file.sizeSync())
  file.readSync(bytes, 0)
  file.closeSync()
  return bytes
}

export function sidecarsIn(fs: FileSystem, directory: string): string[] {
  const names = fs.listSync(directory).map(({ name }) => name)
  return names.filter((name) => name.endsWith('.varve')).map((name) => `${directory}/${name}`)
}

/** Under the secret of the store that the sidecar belongs to. */
function hasherOf(fs: FileSystem, sidecar: string): KeyHasher {
  const root = sidecar.slice(0, sidecar.lastIndexOf('/log/'))
  return new KeyHasher(readIdentity(fs, storePaths(root))!.hashKey)
}

/** A line for each entry of a sidecar, in order; undefined: it has no key index under the store's secret. */
export function keyLines(fs: FileSystem, path: string): string[] | undefined {
  const bytes = wholeFile(fs, path)
  const index = Sidecar.decode(bytes, path)!.keyIndex
  if (index?.secretCheck !== secretCheckOf(hasherOf(fs, path))) return undefined
  return entriesIn(index, (position, length) => bytes.subarray(position, position + length))!.map(lineOf)
}

function lineOf({ words, relativeOffset, recordSize, isTombstone }: KeyEntry): string {
  const identity = words.map((word) => word.toString(16).padStart(8, '0')).join('')
  return `${identity} ${String(relativeOffset).padStart(10, '0')} ${recordSize}${isTombstone ? ' tombstone' : ''}`
}

/** The same from the data file of the sidecar. */
function expectedLines(fs: FileSystem, path: string): string[] {
  const buffer = bufferOf(wholeFile(fs, path.replace(/varve$/, 'log')))
  const base = parseSegmentFileName(path.slice(path.lastIndexOf('/') + 1))!.baseOffset
  const hasher = hasherOf(fs, path)
  const scan = new BatchScan()
  const lines: string[] = []
  scan.open(buffer.bytes, buffer.view, 0, buffer.bytes.length, { minOffset: 0, verify: true })
  const cursor = new RecordCursor()
  while (scan.next()) {
    if (scan.isControl) continue
    cursor.open(buffer.bytes, buffer.view, scan.position)
    while (cursor.next()) {
      if (cursor.keyStart === -1) continue
      hasher.hash(cursor.bytes, cursor.keyStart, cursor.keyEnd)
      const { word0, word1, word2, word3 } = hasher
      lines.push(
        lineOf({
          words: [word0, word1, word2, word3],
          relativeOffset: cursor.offset - base,
          recordSize: cursor.recordEnd - cursor.recordStart,
          isTombstone: cursor.valueStart === -1,
        }),
      )
    }
  }
  return lines.sort()
}

/** Every sidecar has all keys of its data file, and none more. Answers how many sidecars and entries there are. */
export function expectKeys(fs: FileSystem, directory: string): { sidecars: number; entries: number } {
  const paths = sidecarsIn(fs, directory)
  let entries = 0
  for (const path of paths) {
    const expected = expectedLines(fs, path)
    expect([path, keyLines(fs, path)]).toEqual([path, expected])
    entries += expected.length
  }
  return { sidecars: paths.length, entries }
}
