/**
 * One suite for every file system: the real one, the simulated one, the overlay.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { VarveError } from '../../src/base/errors.ts'
import type { File, FileSystem } from '../../src/base/file-system.ts'

export interface Place {
  readonly fileSystem: FileSystem
  /** An existing empty directory. */
  readonly directory: string
  readonly remove: () => void
}

/** The errno, or the code, of what a call throws. */
export function codeOf(call: () => unknown): unknown {
  try {
    call()
  } catch (error) {
    return (error as { code?: unknown }).code
  }
  return undefined
}

export function text(value: string): Uint8Array {
  return new TextEncoder().encode(value)
}

/** All bytes of an open file, as text. */
export function contentOf(file: File): string {
  const bytes = new Uint8Array(file.sizeSync())
  expect(file.readSync(bytes, 0)).toBe(bytes.length)
  return new TextDecoder().decode(bytes)
}

export function readAll(fileSystem: FileSystem, path: string): string {
  const file = fileSystem.openSync(path, 'read')
  try {
    return contentOf(file)
  } finally {
    file.closeSync()
  }
}

export function writeNew(fileSystem: FileSystem, path: string, content: string): void {
  const file = fileSystem.openSync(path, 'create')
  file.writeSync(text(content), 0)
  file.closeSync()
}

export function fileSystemSuite(name: string, make: () => Place): void {
  describe(name, () => {
    let place: Place
    let fs: FileSystem
    let at: (name: string) => string

    beforeEach(() => {
      place = make()
      fs = place.fileSystem
      at = (file) => `${place.directory}/${file}`
    })
    afterEach(() => place.remove())

    it('tells absent, taken and of the wrong kind apart', () => {
      writeNew(fs, at('a'), 'x')
      fs.makeDirectorySync(at('d'))
      expect(codeOf(() => fs.openSync(at('none'), 'read'))).toBe('ENOENT')
      expect(codeOf(() => fs.openSync(at('none'), 'write'))).toBe('ENOENT')
      expect(codeOf(() => fs.openSync(at('a'), 'create'))).toBe('EEXIST')
      expect(codeOf(() => fs.openSync(at('d'), 'read'))).toBe('EISDIR')
      expect(codeOf(() => fs.openSync(at('no/a'), 'create'))).toBe('ENOENT')
      expect(codeOf(() => fs.listSync(at('none')))).toBe('ENOENT')
      expect(codeOf(() => fs.listSync(at('a')))).toBe('ENOTDIR')
      expect(codeOf(() => fs.makeDirectorySync(at('d')))).toBe('EEXIST')
      expect(codeOf(() => fs.unlinkSync(at('none')))).toBe('ENOENT')
      expect(fs.statSync(at('none'))).toBeUndefined()
      expect(fs.statSync(at('no/a'))).toBeUndefined()
    })

    it('puts the file into the error', () => {
      expect(() => fs.openSync(at('none'), 'read')).toThrow(
        expect.objectContaining({ code: 'ENOENT', path: at('none') }),
      )
    })

    it('lists names in order, with their kinds', () => {
      for (const file of ['b', 'a', 'ä', 'Z', '10', '9']) writeNew(fs, at(file), '')
      fs.makeDirectorySync(at('dir'))
      expect(fs.listSync(place.directory).map((entry) => entry.name)).toEqual(['10', '9', 'Z', 'a', 'b', 'dir', 'ä'])
      expect(fs.listSync(place.directory).find((entry) => entry.name === 'dir')?.kind).toBe('directory')
      expect(fs.listSync(at('dir'))).toEqual([])
    })

    it('reads what was written, short only at the end', async () => {
      const file = fs.openSync(at('a'), 'create')
      file.writeSync(text('hello world'), 0)
      await file.write(text('WORLD!'), 6)
      expect(contentOf(file)).toBe('hello WORLD!')
      const into = new Uint8Array(8)
      expect(file.readSync(into, 8)).toBe(4)
      expect(await file.read(into, 8)).toBe(4)
      expect(await file.read(into, 12)).toBe(0)
      expect(file.readSync(into, 100)).toBe(0)
      await file.syncData()
      file.closeSync()
      expect(readAll(fs, at('a'))).toBe('hello WORLD!')
    })

    it('fills holes and growth with zeros', () => {
      const file = fs.openSync(at('a'), 'create')
      file.writeSync(text('end'), 10_000)
      file.truncateSync(10_001)
      file.truncateSync(10_004)
      const bytes = new Uint8Array(10_004)
      expect(file.readSync(bytes, 0)).toBe(10_004)
      expect([...bytes.subarray(9_998)]).toEqual([0, 0, 101, 0, 0, 0])
      expect(bytes.subarray(0, 10_000).every((byte) => byte === 0)).toBe(true)
      file.closeSync()
    })

    it('writes nothing for no bytes', () => {
      const file = fs.openSync(at('a'), 'create')
      file.writeSync(new Uint8Array(0), 100)
      expect(file.sizeSync()).toBe(0)
      file.closeSync()
    })

    it('refuses to write through a descriptor for reading', async () => {
      writeNew(fs, at('a'), 'x')
      const file = fs.openSync(at('a'), 'read')
      expect(codeOf(() => file.writeSync(text('y'), 0))).toBe('EBADF')
      await expect(file.write(text('y'), 0)).rejects.toMatchObject({ code: 'EBADF', path: at('a') })
      file.closeSync()
      expect(readAll(fs, at('a'))).toBe('x')
    })

    it('refuses positions that are not positions', async () => {
      const file = fs.openSync(at('a'), 'create')
      for (const position of [Number.NaN, 1.5, -1, 2 ** 53, Infinity]) {
        expect(codeOf(() => file.writeSync(text('x'), position))).toBe('INTERNAL')
        expect(codeOf(() => file.readSync(new Uint8Array(1), position))).toBe('INTERNAL')
        expect(codeOf(() => file.truncateSync(position))).toBe('INTERNAL')
        await expect((async () => file.write(text('x'), position))()).rejects.toBeInstanceOf(VarveError)
      }
      expect(file.sizeSync()).toBe(0)
      file.closeSync()
    })

    it('refuses use after close', () => {
      writeNew(fs, at('a'), 'x')
      const file = fs.openSync(at('a'), 'read')
      file.closeSync()
      expect(codeOf(() => file.readSync(new Uint8Array(1), 0))).toBe('INTERNAL')
      expect(codeOf(() => file.closeSync())).toBe('INTERNAL')
    })

    it('renames over files, and not over directories', () => {
      writeNew(fs, at('a'), 'new')
      writeNew(fs, at('b'), 'old')
      fs.makeDirectorySync(at('d'))
      fs.renameSync(at('a'), at('b'))
      expect(readAll(fs, at('b'))).toBe('new')
      expect(fs.statSync(at('a'))).toBeUndefined()
      expect(codeOf(() => fs.renameSync(at('b'), at('d')))).toBe('EISDIR')
      expect(codeOf(() => fs.renameSync(at('none'), at('c')))).toBe('ENOENT')
      fs.renameSync(at('b'), at('d/c'))
      expect(fs.listSync(at('d'))).toEqual([{ name: 'c', kind: 'file' }])
    })

    it('keeps the identity of a renamed and a linked file, and gives a new file another', () => {
      writeNew(fs, at('a'), 'x')
      const identity = fs.statSync(at('a'))?.identity
      fs.linkSync(at('a'), at('b'))
      fs.renameSync(at('a'), at('c'))
      writeNew(fs, at('a'), 'x')
      expect(fs.statSync(at('b'))?.identity).toBe(identity)
      expect(fs.statSync(at('c'))?.identity).toBe(identity)
      expect(fs.statSync(at('a'))?.identity).not.toBe(identity)
      expect(codeOf(() => fs.linkSync(at('a'), at('b')))).toBe('EEXIST')
    })

    it('keeps an unlinked file readable while it is open', () => {
      writeNew(fs, at('a'), 'still here')
      const file = fs.openSync(at('a'), 'read')
      fs.unlinkSync(at('a'))
      expect(contentOf(file)).toBe('still here')
      expect(fs.listSync(place.directory)).toEqual([])
      file.closeSync()
    })

    it('removes empty directories only', () => {
      fs.makeDirectorySync(at('d'))
      writeNew(fs, at('d/a'), '')
      expect(codeOf(() => fs.removeDirectorySync(at('d')))).toBe('ENOTEMPTY')
      expect(codeOf(() => fs.unlinkSync(at('d')))).toBe(process.platform === 'linux' ? 'EISDIR' : 'EPERM')
      fs.unlinkSync(at('d/a'))
      fs.removeDirectorySync(at('d'))
      expect(fs.statSync(at('d'))).toBeUndefined()
    })

    it('syncs directories, and knows its free room and its boot', async () => {
      writeNew(fs, at('a'), 'x')
      await fs.syncDirectory(place.directory)
      expect(fs.freeBytesSync(place.directory)).toBeGreaterThan(0)
      expect(fs.isWritableSync(place.directory)).toBe(true)
      expect(fs.bootIdSync()).toBe(fs.bootIdSync())
      expect(fs.bootIdSync()).not.toBe('')
    })

    it('writes from a part of a larger buffer', async () => {
      const whole = text('0123456789')
      const file = fs.openSync(at('a'), 'create')
      file.writeSync(whole.subarray(2, 5), 0)
      await file.write(whole.subarray(7), 3)
      whole.fill(0)
      expect(contentOf(file)).toBe('234789')
      file.closeSync()
    })
  })
}

/** What only file systems that several may use at once can show. */
export function lockSuite(name: string, make: () => Place): void {
  describe(name, () => {
    it('gives the lock to one at a time', () => {
      const { fileSystem, directory, remove } = make()
      const first = fileSystem.lockSync(`${directory}/lock`)
      expect(first).toBeDefined()
      expect(fileSystem.lockSync(`${directory}/lock`)).toBeUndefined()
      first?.releaseSync()
      const second = fileSystem.lockSync(`${directory}/lock`)
      expect(second).toBeDefined()
      // The first holder has no say any more.
      first?.releaseSync()
      expect(fileSystem.lockSync(`${directory}/lock`)).toBeUndefined()
      second?.releaseSync()
      expect(codeOf(() => fileSystem.lockSync(`${directory}/none/lock`))).toBe('ENOENT')
      remove()
    })

    it('refuses to close a file with a call under way', async () => {
      const { fileSystem, directory, remove } = make()
      const file = fileSystem.openSync(`${directory}/a`, 'create')
      const write = file.write(text('x'), 0)
      expect(codeOf(() => file.closeSync())).toBe('INTERNAL')
      await write
      file.closeSync()
      remove()
    })

    it('calls back when a watched file changed', async () => {
      const { fileSystem, directory, remove } = make()
      const file = fileSystem.openSync(`${directory}/a`, 'create')
      await new Promise<void>((resolve) => {
        const watch = fileSystem.watch(`${directory}/a`, () => {
          watch.close()
          resolve()
        })
        file.writeSync(text('x'), 0)
      })
      file.closeSync()
      remove()
    })
  })
}
