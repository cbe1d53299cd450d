/** P8: however many files a store has, only so many are open; those with unsynced bytes stay. */
import { expect, test } from 'vitest'
import { FilePool } from '../../src/base/file-pool.ts'
import { simulatedFileSystem } from '../../src/base/memory-file-system.ts'

test('a pool keeps no more files open than its limit, least recently used first out', () => {
  const fs = simulatedFileSystem()
  const pool = new FilePool(fs, 'write', 5)
  const files = Array.from({ length: 40 }, (_, n) => pool.file(`/${n}`))
  for (const file of files) {
    file.create().writeSync(Uint8Array.of(1), 0)
    expect(fs.openFiles).toBeLessThanOrEqual(5)
  }
  for (const file of files) {
    expect(file.open().sizeSync()).toBe(1)
    expect(fs.openFiles).toBeLessThanOrEqual(5)
  }
  pool.closeAll()
  expect(fs.openFiles).toBe(0)
})

test('a pinned file is not closed for others', () => {
  const fs = simulatedFileSystem()
  const pool = new FilePool(fs, 'write', 3)
  const pinned = pool.file('/pinned')
  pinned.pin()
  const file = pinned.create()
  for (let n = 0; n < 20; n++) pool.file(`/${n}`).create()
  expect(file.sizeSync()).toBe(0)
  expect(pinned.open()).toBe(file)
  pinned.unpin()
  pool.closeAll()
})
