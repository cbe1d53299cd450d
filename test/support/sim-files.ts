/**
 * What the files of an open store must be, read without the engine's own bookkeeping: I8, I9, I10.
 */
import type { FileSystem } from '../../src/base/file-system.ts'
import type { Store } from '../../src/base/api-store.ts'
import { BatchScan } from '../../src/segment/batch-scan.ts'
import { joinPath, parseSegmentFileName } from '../../src/segment/segment-files.ts'
import { Sidecar } from '../../src/segment/sidecar.ts'
import { LOG_BLOCK_BYTES } from '../../src/segment/sidecar-sections.ts'
import { Violation } from './sim-check.ts'

/** Checks every segment file below the store's log directory. */
export async function checkFiles(fs: FileSystem, store: Store, directory: string): Promise<void> {
  const log = joinPath(directory, 'log')
  for (const entry of fs.listSync(log)) {
    if (entry.kind === 'directory') checkPartitionFiles(fs, joinPath(log, entry.name))
  }
  await verify(store)
}

async function verify(store: Store): Promise<void> {
  for await (const finding of store.verify({ deep: true })) {
    // After a power cut an index may be missing or of another life: it is not believed, and built anew when needed.
    if (!finding.path.endsWith('index')) throw new Violation(`verify: ${finding.path}: ${finding.message}`)
  }
}

function checkPartitionFiles(fs: FileSystem, directory: string): void {
  let next = 0
  const names = fs.listSync(directory).map((entry) => entry.name)
  for (const name of names) {
    const parsed = parseSegmentFileName(name)
    if (parsed?.kind !== 'log' || parsed.state !== 'final') continue
    if (parsed.baseOffset < next) throw new Violation(`I10 ${directory}/${name} begins before ${next}`)
    const bytes = readAll(fs, joinPath(directory, name))
    next = Math.max(checkSegment(bytes, parsed.baseOffset, joinPath(directory, name)), next)
    const sidecar = name.replace(/log$/, 'varve')
    if (names.includes(sidecar)) checkSidecar(fs, directory, name, bytes, next)
  }
}

/** I8: whole batches, one behind the other, nothing else. Answers the next offset. */
function checkSegment(bytes: Uint8Array, baseOffset: number, path: string): number {
  const scan = new BatchScan()
  scan.open(bytes, new DataView(bytes.buffer), 0, bytes.length, { minOffset: baseOffset, verify: true })
  let next = baseOffset
  while (scan.next()) {
    if (scan.baseOffset !== next)
      throw new Violation(`I5 ${path} has offset ${scan.baseOffset} where ${next} should be`)
    next = scan.lastOffset + 1
  }
  if (scan.end !== 'clean-end') throw new Violation(`I8 ${path} ends in ${scan.end} at ${scan.endPosition}`)
  return next
}

/** I9: the sidecar is of these bytes. */
function checkSidecar(fs: FileSystem, directory: string, name: string, log: Uint8Array, next: number): void {
  const path = joinPath(directory, name.replace(/log$/, 'varve'))
  const sidecar = Sidecar.decode(readAll(fs, path), path)
  if (sidecar === undefined) throw new Violation(`I9 ${path} is damaged`)
  const { logLength, nextOffset } = sidecar.summary
  if (logLength !== log.length || nextOffset !== next)
    throw new Violation(`I9 ${path} says ${logLength} bytes up to ${nextOffset}`)
  for (let block = 0; block < sidecar.blockCount; block++) {
    const at = block * LOG_BLOCK_BYTES
    if (!sidecar.verifyBlock(block, log.subarray(at, Math.min(log.length, at + LOG_BLOCK_BYTES)))) {
      throw new Violation(`I9 ${path} has another hash for block ${block}`)
    }
  }
}

function readAll(fs: FileSystem, path: string): Uint8Array<ArrayBuffer> {
  const file = fs.openSync(path, 'read')
  try {
    const bytes = new Uint8Array(file.sizeSync())
    file.readSync(bytes, 0)
    return bytes
  } finally {
    file.closeSync()
  }
}
