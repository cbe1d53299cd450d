import { beforeAll, describe, expect, test } from 'vitest'
import { VarveError } from '../../src/base/errors.ts'
import { memoryFileSystem, type MemoryFileSystem } from '../../src/base/memory-file-system.ts'
import { initHashes } from '../../src/base/xxh64.ts'
import { readWholeFile, replaceFile, replaceFileUnsynced } from '../../src/metadata/replace-file.ts'
import { readStateFile, writeStateFile } from '../../src/metadata/state-file.ts'

beforeAll(initHashes)

/** A file system with the directory `/d`, durably. */
async function freshFileSystem(): Promise<MemoryFileSystem> {
  const fileSystem = memoryFileSystem()
  fileSystem.makeDirectorySync('/d')
  await fileSystem.syncDirectory('/')
  return fileSystem
}

const codeOf = (error: unknown): unknown => (VarveError.is(error) ? [error.code, error.outcome] : error)

test('what was replaced survives a power loss', async () => {
  const fileSystem = await freshFileSystem()
  for (let i = 0; i < 5; i++) {
    await replaceFile(fileSystem, '/d/file', new Uint8Array([i, i]))
    fileSystem.crash(i)
    expect(readWholeFile(fileSystem, '/d/file', 100)).toEqual(new Uint8Array([i, i]))
  }
})

test('a power loss in the middle leaves the old file or the new one', async () => {
  const seen = new Set<unknown>()
  for (let seed = 0; seed < 200; seed++) {
    const fileSystem = await freshFileSystem()
    await writeStateFile(fileSystem, '/d/state', 'catalog', 1, ['old', 'x'.repeat(3000)])
    const writing = writeStateFile(fileSystem, '/d/state', 'catalog', 1, ['new', 'y'.repeat(3000)])
    for (let turns = seed % 20; turns > 0; turns--) await Promise.resolve()
    fileSystem.crash(seed)
    await writing.catch(() => undefined)
    const [which] = readStateFile(fileSystem, '/d/state', 'catalog', 1)!
    seen.add(which)
    await writeStateFile(fileSystem, '/d/state', 'catalog', 1, ['again'])
    expect(readStateFile(fileSystem, '/d/state', 'catalog', 1)).toEqual(['again'])
  }
  expect(seen).toEqual(new Set(['old', 'new']))
})

describe('a failed step', () => {
  test.each([
    ['open', 'EMFILE', 'LOG_FAILED', 'definite'],
    ['write', 'ENOSPC', 'DISK_FULL', 'definite'],
    ['sync', 'EIO', 'LOG_FAILED', 'definite'],
    ['rename', 'EIO', 'LOG_FAILED', 'indefinite'],
  ] as const)('%s: %s', async (operation, errno, code, outcome) => {
    const fileSystem = await freshFileSystem()
    await replaceFile(fileSystem, '/d/file', new Uint8Array([1]))
    fileSystem.failNext(operation, errno)
    expect(await replaceFile(fileSystem, '/d/file', new Uint8Array([2])).catch(codeOf)).toEqual([code, outcome])
    expect(readWholeFile(fileSystem, '/d/file', 100)).toEqual(new Uint8Array([1]))
    await replaceFile(fileSystem, '/d/file', new Uint8Array([3]))
    expect(readWholeFile(fileSystem, '/d/file', 100)).toEqual(new Uint8Array([3]))
  })

  test('an unreadable file is not an absent one', async () => {
    const fileSystem = await freshFileSystem()
    expect(readWholeFile(fileSystem, '/d/file', 100)).toBeUndefined()
    replaceFileUnsynced(fileSystem, '/d/file', new Uint8Array(101))
    expect(readWholeFile(fileSystem, '/d/file', 100)).toBe('too-large')
    fileSystem.failNext('read', 'EIO')
    let thrown: unknown
    try {
      readWholeFile(fileSystem, '/d/file', 1000)
    } catch (error) {
      thrown = error
    }
    expect(VarveError.is(thrown, 'CORRUPT')).toBe(true)
  })
})
