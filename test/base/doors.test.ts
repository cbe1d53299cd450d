import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { memoryFileSystem, simulatedFileSystem } from '../../src/base/memory-file-system.ts'
import { nodeClock } from '../../src/base/node-clock.ts'
import { nodeFileSystem } from '../../src/base/node-file-system.ts'
import { nodeRandom } from '../../src/base/node-random.ts'
import { overlayFileSystem } from '../../src/base/overlay-file-system.ts'
import { seededRandom } from '../../src/base/seeded-random.ts'
import { codeOf, fileSystemSuite, lockSuite, readAll, text, writeNew, type Place } from '../support/file-system.kit.ts'

function realPlace(): Place {
  const directory = mkdtempSync(join(tmpdir(), 'varve-doors-'))
  return { fileSystem: nodeFileSystem(), directory, remove: () => rmSync(directory, { recursive: true, force: true }) }
}

function memoryPlace(): Place {
  const fileSystem = memoryFileSystem()
  fileSystem.makeDirectorySync('/d')
  return { fileSystem, directory: '/d', remove: () => undefined }
}

fileSystemSuite('the real file system', realPlace)
fileSystemSuite('the file system in memory', memoryPlace)
fileSystemSuite('the file system in memory, interleaved', () => {
  const fileSystem = simulatedFileSystem({ interleave: seededRandom(7) })
  fileSystem.makeDirectorySync('/d')
  return { fileSystem, directory: '/d', remove: () => undefined }
})
fileSystemSuite('the overlay', () => {
  const below = memoryPlace()
  return { ...below, fileSystem: overlayFileSystem(below.fileSystem) }
})
lockSuite('several users of the real file system', realPlace)
lockSuite('several users of the file system in memory', memoryPlace)

describe('the real file system', () => {
  it('makes files and directories for the owner only', () => {
    const { fileSystem, directory, remove } = realPlace()
    const before = process.umask(0)
    try {
      writeNew(fileSystem, join(directory, 'a'), 'x')
      fileSystem.makeDirectorySync(join(directory, 'd'))
      fileSystem.lockSync(join(directory, 'd/lock'))?.releaseSync()
    } finally {
      process.umask(before)
    }
    expect(statSync(join(directory, 'a')).mode & 0o777).toBe(0o600)
    expect(statSync(join(directory, 'd')).mode & 0o777).toBe(0o700)
    expect(statSync(join(directory, 'd/lock')).mode & 0o777).toBe(0o600)
    remove()
  })

  it('follows no links', () => {
    const { fileSystem, directory, remove } = realPlace()
    writeNew(fileSystem, join(directory, 'a'), 'x')
    symlinkSync(join(directory, 'a'), join(directory, 'link'))
    expect(codeOf(() => fileSystem.openSync(join(directory, 'link'), 'read'))).toBe('ELOOP')
    expect(fileSystem.statSync(join(directory, 'link'))?.kind).toBe('other')
    remove()
  })

  it('goes on writing and reading in large pieces', async () => {
    const { fileSystem, directory, remove } = realPlace()
    const bytes = seededRandom(1).bytes(3_000_001)
    const file = fileSystem.openSync(join(directory, 'a'), 'create')
    await Promise.all([file.write(bytes.subarray(0, 2_000_000), 0), file.write(bytes.subarray(2_000_000), 2_000_000)])
    const into = new Uint8Array(4_000_000)
    expect(await file.read(into, 0)).toBe(bytes.length)
    expect(Buffer.compare(into.subarray(0, bytes.length), bytes)).toBe(0)
    file.closeSync()
    remove()
  })

  it('keeps other processes out, and lets them in when the holder is killed', async () => {
    const { fileSystem, directory, remove } = realPlace()
    const source = join(import.meta.dirname, '../../src/base/node-file-system.ts')
    const script = `
      import { nodeFileSystem } from ${JSON.stringify(source)}
      const lock = nodeFileSystem().lockSync(${JSON.stringify(join(directory, 'lock'))})
      console.log(lock === undefined ? 'refused' : 'locked')
      setInterval(() => lock, 1000)
    `
    writeFileSync(join(directory, 'holder.mjs'), script)
    const child = spawn(process.execPath, [join(directory, 'holder.mjs')], { stdio: ['ignore', 'pipe', 'inherit'] })
    const exited = new Promise((resolve) => child.once('exit', resolve))
    const said = await new Promise<string>((resolve) => child.stdout.once('data', (data) => resolve(String(data))))
    expect(said.trim()).toBe('locked')
    expect(fileSystem.lockSync(join(directory, 'lock'))).toBeUndefined()
    child.kill('SIGKILL')
    await exited
    const lock = fileSystem.lockSync(join(directory, 'lock'))
    expect(lock).toBeDefined()
    lock?.releaseSync()
    remove()
  })

  it('does not take an unreadable path for an absent one', () => {
    const { fileSystem, directory, remove } = realPlace()
    writeNew(fileSystem, join(directory, 'a'), 'x')
    expect(codeOf(() => fileSystem.statSync(join(directory, 'a/b')))).toBe('ENOTDIR')
    mkdirSync(join(directory, 'd'))
    expect(codeOf(() => fileSystem.statSync(join(directory, 'x'.repeat(300))))).toBe('ENAMETOOLONG')
    remove()
  })
})

describe('the overlay', () => {
  it('never changes what is below', async () => {
    const below = simulatedFileSystem()
    below.makeDirectorySync('/d')
    below.makeDirectorySync('/d/sub')
    writeNew(below, '/d/a', 'lower a')
    writeNew(below, '/d/b', 'lower b')
    writeNew(below, '/d/sub/c', 'lower c')
    const operations: string[] = []
    below.onOperation(({ kind, phase }) => {
      if (phase === 'before') operations.push(kind)
    })
    const overlay = overlayFileSystem(below)
    const file = overlay.openSync('/d/a', 'write')
    file.writeSync(text('UPPER'), 0)
    file.truncateSync(6)
    await file.write(text('!'), 6)
    await file.syncData()
    file.closeSync()
    overlay.renameSync('/d/a', '/d/z')
    overlay.renameSync('/d/sub/c', '/d/b')
    overlay.removeDirectorySync('/d/sub')
    writeNew(overlay, '/d/new', 'n')
    expect(overlay.listSync('/d').map((entry) => entry.name)).toEqual(['b', 'new', 'z'])
    expect(readAll(overlay, '/d/z')).toBe('UPPER !')
    expect(readAll(overlay, '/d/b')).toBe('lower c')
    expect(codeOf(() => overlay.openSync('/d/sub/c', 'read'))).toBe('ENOENT')
    const harmless = ['open', 'read', 'stat', 'list', 'close', 'size']
    expect(operations.filter((kind) => !harmless.includes(kind))).toEqual([])
    expect(readAll(below, '/d/a')).toBe('lower a')
    expect(below.listSync('/d').map((entry) => entry.name)).toEqual(['a', 'b', 'sub'])
  })

  it('shows zeros where a file of below was cut and grew again', () => {
    const below = memoryFileSystem()
    writeNew(below, '/a', 'x'.repeat(10_000))
    const file = overlayFileSystem(below).openSync('/a', 'write')
    file.truncateSync(5_000)
    file.truncateSync(9_000)
    file.writeSync(text('y'), 8_000)
    const bytes = new Uint8Array(9_000)
    expect(file.readSync(bytes, 0)).toBe(9_000)
    expect(bytes.subarray(0, 5_000).every((byte) => byte === 120)).toBe(true)
    expect(bytes.subarray(5_000).filter((byte) => byte !== 0)).toEqual(text('y'))
  })
})

describe('the real clock and chance', () => {
  it('run timers once, and not after they were cancelled', async () => {
    const clock = nodeClock()
    const fired: string[] = []
    clock.timer(1, () => fired.push('cancelled'), true).cancel()
    await new Promise<void>((resolve) => clock.timer(5, () => resolve(void fired.push('fired')), true))
    await new Promise<void>((resolve) => clock.soon(resolve))
    expect(fired).toEqual(['fired'])
    const before = clock.monotonicMs()
    expect(clock.monotonicMs()).toBeGreaterThanOrEqual(before)
  })

  it('clamp a delay that would overflow', async () => {
    const clock = nodeClock()
    let fired = false
    const timer = clock.timer(2 ** 40, () => void (fired = true))
    await new Promise<void>((resolve) => clock.timer(20, resolve, true))
    expect(fired).toBe(false)
    timer.cancel()
  })

  it('give fresh bytes', () => {
    const random = nodeRandom()
    expect(random.bytes(100_000)).toHaveLength(100_000)
    expect(random.bytes(16)).not.toEqual(random.bytes(16))
    expect(random.fraction()).toBeLessThan(1)
  })
})
