/**
 * The door to files: everything that the engine asks of a disk, and nothing else.
 *
 * Owns     the interface. The real one is `node-file-system.ts`, the simulated one `memory-file-system.ts`.
 * Holds    A failure is thrown as an Error with the errno in `code` (`ENOENT`, `EIO`, `ENOSPC`, …) and the file in
 *          `path`. Absent, unreadable and empty are three answers: only ENOENT means absent. A read is short only at
 *          the end of the file; a write is whole or throws, and a write that throws may have written a part.
 *          Positions are checked: no call ever uses a "current position".
 * Shared   Calls that end in `Sync` answer at once and are for what the page cache serves; the others may wait for
 *          the device. Nothing orders two calls under way: whoever needs an order awaits.
 */

export type OpenMode =
  /** An existing file, for reading. */
  | 'read'
  /** An existing file, for reading and writing. */
  | 'write'
  /** A new file, for reading and writing; EEXIST when there is one. */
  | 'create'

export interface FileStat {
  readonly kind: 'file' | 'directory' | 'other'
  readonly size: number
  /** Identity of the file on its device: tells a copied file from the original. */
  readonly identity: string
  readonly modifiedMs: number
}

export interface DirectoryEntry {
  readonly name: string
  readonly kind: 'file' | 'directory' | 'other'
}

/** An open file. Closing it while a call is under way is a bug and throws. */
export interface File {
  readonly path: string
  sizeSync(): number
  /** Fills `into` from `position` on; answers the bytes read, fewer than asked only at the end of the file. */
  readSync(into: Uint8Array, position: number): number
  read(into: Uint8Array, position: number): Promise<number>
  /** Writes all of `bytes` at `position`. */
  writeSync(bytes: Uint8Array, position: number): void
  write(bytes: Uint8Array, position: number): Promise<void>
  truncateSync(size: number): void
  /**
   * fdatasync: what was written through this file before the call is durable when it resolves. After an error it is
   * never called again.
   */
  syncData(): Promise<void>
  closeSync(): void
}

/** An exclusive lock that the kernel releases when the process dies. */
export interface Lock {
  releaseSync(): void
}

export interface Watch {
  close(): void
}

export interface FileSystem {
  readonly '~varve': 'fileSystem'
  /** A door for one open of a store, where it matters which calls belong together. */
  session?(): FileSystem
  /** Of the process that uses it, to tell a person who holds a lock. */
  readonly processId: number
  /** True only when no process of this machine has this id, as far as this one can see. */
  isProcessGone(id: number): boolean
  openSync(path: string, mode: OpenMode): File
  /** `undefined` only when nothing has this name. Does not follow links. */
  statSync(path: string): FileStat | undefined
  /** Entries without `.` and `..`, sorted by name. */
  listSync(directory: string): DirectoryEntry[]
  /** One level; EEXIST when the name is taken. */
  makeDirectorySync(path: string): void
  removeDirectorySync(path: string): void
  renameSync(from: string, to: string): void
  unlinkSync(path: string): void
  /** A hard link. */
  linkSync(from: string, to: string): void
  /** Makes the names in a directory durable. */
  syncDirectory(path: string): Promise<void>
  /** May this process make and remove names in a directory, as far as rights tell? */
  isWritableSync(directory: string): boolean
  /** Bytes that can still be written. */
  freeBytesSync(path: string): number
  /** Takes the lock that lives in the file `path` (made when missing); `undefined`: another holds it. */
  lockSync(path: string): Lock | undefined
  /** Differs after each boot of the machine, when unsynced bytes may be lost. */
  bootIdSync(): string
  /** Calls back, soon and at least once, after the file changed. */
  watch(path: string, changed: () => void): Watch
}
