/**
 * The door to the real disk.
 *
 * Owns     the translation of the door's calls into node:fs, and nothing else: no cache, no retry, no policy.
 * Holds    Raw descriptors with callback calls (the cheapest that Node has). A descriptor is never closed while a
 *          call is under way: the number would be given out again and the call would go to another file. Every
 *          position is checked here, because node:fs takes NaN or 1.5 for "the current position" in silence. A write
 *          goes on after a short count, a read too until the end of the file. Only regular files are opened, links
 *          are not followed. Files are 0600, directories 0700.
 * Shared   Any number of calls on one file; each counts as under way until its callback.
 * Crash    What was not synced may be lost, torn or reordered.
 */
import {
  accessSync,
  close,
  closeSync,
  constants,
  fdatasync,
  fstatSync,
  fsync,
  ftruncateSync,
  linkSync,
  lstatSync,
  mkdirSync,
  open,
  openSync,
  read,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmdirSync,
  statfsSync,
  unlinkSync,
  watch,
  write,
  writeSync,
  type Dirent,
  type FSWatcher,
  type Stats,
} from 'node:fs'
import { uptime } from 'node:os'
import { errnoOf } from './errors.ts'
import type { DirectoryEntry, File, FileStat, FileSystem, OpenMode, Watch } from './file-system.ts'
import { invariant } from './invariant.ts'
import { takeLock } from './node-lock.ts'

const FILE_MODE = 0o600
const DIRECTORY_MODE = 0o700
/** Absent on Windows. */
const NO_LINKS = (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0)
const OPEN_FLAGS: { readonly [M in OpenMode]: number } = {
  read: constants.O_RDONLY | NO_LINKS,
  write: constants.O_RDWR | NO_LINKS,
  create: constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | NO_LINKS,
}
const LINUX_BOOT_ID = '/proc/sys/kernel/random/boot_id'
const BOOT_TIME_ROUNDING_MS = 60_000

/** The machine's files. */
export function nodeFileSystem(): FileSystem {
  return {
    '~varve': 'fileSystem',
    processId: process.pid,
    isProcessGone,
    openSync: openFile,
    statSync,
    listSync: (directory) => readdirSync(directory, { withFileTypes: true }).map(entryOf).sort(byName),
    makeDirectorySync: (path) => void mkdirSync(path, DIRECTORY_MODE),
    removeDirectorySync: (path) => rmdirSync(path),
    renameSync,
    unlinkSync,
    linkSync,
    syncDirectory,
    isWritableSync,
    freeBytesSync,
    lockSync: takeLock,
    bootIdSync,
    watch: watchFile,
  }
}

function openFile(path: string, mode: OpenMode): File {
  const descriptor = openSync(path, OPEN_FLAGS[mode], FILE_MODE)
  if (mode === 'create' || fstatSync(descriptor).isFile()) return new NodeFile(path, descriptor)
  const isDirectory = fstatSync(descriptor).isDirectory()
  closeSync(descriptor)
  throw errno(isDirectory ? 'EISDIR' : 'EINVAL', 'not a regular file', path)
}

function isWritableSync(directory: string): boolean {
  try {
    accessSync(directory, constants.R_OK | constants.W_OK | constants.X_OK)
    return true
  } catch (error) {
    if (['EACCES', 'EPERM', 'EROFS'].includes(errnoOf(error) ?? '')) return false
    throw error
  }
}

class NodeFile implements File {
  readonly path: string
  /** -1 once closed. */
  #descriptor: number
  #underWay = 0

  constructor(path: string, descriptor: number) {
    this.path = path
    this.#descriptor = descriptor
  }

  sizeSync(): number {
    return this.#naming(() => fstatSync(this.#open()).size)
  }

  readSync(into: Uint8Array, position: number): number {
    const descriptor = this.#open()
    checkPosition(position)
    try {
      return readOn(descriptor, into, position, 0)
    } catch (error) {
      throw named(error, this.path)
    }
  }

  read(into: Uint8Array, position: number): Promise<number> {
    const descriptor = this.#open()
    checkPosition(position)
    return new Promise((resolve, reject) => {
      this.#underWay++
      read(descriptor, into, 0, into.length, position, (error, count) => {
        this.#underWay--
        if (error !== null) return reject(named(error, this.path))
        if (count === into.length || count === 0) return resolve(count)
        // Nearly always the end of the file; what is behind it answers at once.
        try {
          resolve(readOn(descriptor, into, position, count))
        } catch (rest) {
          reject(named(rest, this.path))
        }
      })
    })
  }

  writeSync(bytes: Uint8Array, position: number): void {
    const descriptor = this.#open()
    checkPosition(position)
    try {
      for (let done = 0; done < bytes.length;) {
        const count = writeSync(descriptor, bytes, done, bytes.length - done, position + done)
        if (count === 0) throw errno('EIO', 'the disk takes no bytes', this.path)
        done += count
      }
    } catch (error) {
      throw named(error, this.path)
    }
  }

  write(bytes: Uint8Array, position: number): Promise<void> {
    const descriptor = this.#open()
    checkPosition(position)
    return new Promise((resolve, reject) => {
      let done = 0
      const writeOn = (error: Error | null, count: number): void => {
        this.#underWay--
        if (error !== null) return reject(named(error, this.path))
        done += count
        if (done >= bytes.length) return resolve()
        if (count === 0) return reject(errno('EIO', 'the disk takes no bytes', this.path))
        this.#underWay++
        write(descriptor, bytes, done, bytes.length - done, position + done, writeOn)
      }
      this.#underWay++
      write(descriptor, bytes, 0, bytes.length, position, writeOn)
    })
  }

  truncateSync(size: number): void {
    checkPosition(size)
    this.#naming(() => ftruncateSync(this.#open(), size))
  }

  syncData(): Promise<void> {
    const descriptor = this.#open()
    return new Promise((resolve, reject) => {
      this.#underWay++
      fdatasync(descriptor, (error) => {
        this.#underWay--
        if (error === null) resolve()
        else reject(named(error, this.path))
      })
    })
  }

  closeSync(): void {
    const descriptor = this.#open()
    invariant(this.#underWay === 0, `no call under way when ${this.path} is closed`)
    this.#descriptor = -1
    this.#naming(() => closeSync(descriptor))
  }

  #open(): number {
    invariant(this.#descriptor >= 0, `${this.path} to be open`)
    return this.#descriptor
  }

  #naming<T>(call: () => T): T {
    try {
      return call()
    } catch (error) {
      throw named(error, this.path)
    }
  }
}

/** Fills `into` from index `done` on. */
function readOn(descriptor: number, into: Uint8Array, position: number, done: number): number {
  while (done < into.length) {
    const count = readSync(descriptor, into, done, into.length - done, position + done)
    if (count === 0) return done
    done += count
  }
  return done
}

function statSync(path: string): FileStat | undefined {
  try {
    const stat = lstatSync(path)
    return { kind: kindOf(stat), size: stat.size, identity: `${stat.dev}:${stat.ino}`, modifiedMs: stat.mtimeMs }
  } catch (error) {
    // Only this one: node's own throwIfNoEntry takes ENOTDIR for absent too.
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  }
}

function entryOf(entry: Dirent): DirectoryEntry {
  return { name: entry.name, kind: kindOf(entry) }
}

function kindOf(entry: Dirent | Stats): 'file' | 'directory' | 'other' {
  if (entry.isFile()) return 'file'
  return entry.isDirectory() ? 'directory' : 'other'
}

function byName(a: DirectoryEntry, b: DirectoryEntry): number {
  if (a.name === b.name) return 0
  return a.name < b.name ? -1 : 1
}

/** On Windows a directory cannot be opened this way, and names are durable without it. */
function syncDirectory(path: string): Promise<void> {
  if (process.platform === 'win32') return Promise.resolve()
  return new Promise((resolve, reject) => {
    open(path, constants.O_RDONLY | constants.O_DIRECTORY, (openError, descriptor) => {
      if (openError !== null) return reject(openError)
      fsync(descriptor, (syncError) => {
        close(descriptor, (closeError) => {
          const error = syncError ?? closeError ?? null
          if (error === null) resolve()
          else reject(named(error, path))
        })
      })
    })
  })
}

function freeBytesSync(path: string): number {
  const { bavail, bsize } = statfsSync(path)
  return bavail * bsize
}

/** Where the kernel does not name its boots, the time of the boot does, to the minute. */
function bootIdSync(): string {
  try {
    return readFileSync(LINUX_BOOT_ID, 'latin1').trim()
  } catch {
    const bootMs = Date.now() - uptime() * 1000
    return `up-since-${Math.round(bootMs / BOOT_TIME_ROUNDING_MS)}`
  }
}

/** A file that was replaced is watched again under its name; one that is gone is not. */
function watchFile(path: string, changed: () => void): Watch {
  let watcher: FSWatcher | undefined
  let isClosed = false
  const start = (): void => {
    watcher = watch(path, { persistent: false }, (event) => {
      if (event === 'rename') restart()
      if (!isClosed) changed()
    })
    watcher.on('error', () => watcher?.close())
  }
  const restart = (): void => {
    watcher?.close()
    if (isClosed || lstatSync(path, { throwIfNoEntry: false }) === undefined) return
    start()
  }
  start()
  return {
    close: () => {
      isClosed = true
      watcher?.close()
    },
  }
}

function checkPosition(position: number): void {
  invariant(Number.isSafeInteger(position) && position >= 0, `a position in a file, not ${position}`)
}

/** Errors of calls by descriptor do not name the file. */
function named(error: unknown, path: string): unknown {
  if (error instanceof Error && errnoOf(error) !== undefined && !('path' in error)) Object.assign(error, { path })
  return error
}

function errno(code: string, what: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${what}, '${path}'`), { code, path })
}

function isProcessGone(id: number): boolean {
  try {
    process.kill(id, 0)
    return false
  } catch (error) {
    return (error as { code?: unknown }).code === 'ESRCH'
  }
}
