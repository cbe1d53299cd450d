/**
 * The lock of a directory: an exclusive transaction of node:sqlite on a file that nothing else ever opens.
 *
 * Owns     the set of lock files that this process holds.
 * Holds    The kernel releases the lock when the process dies, however it dies. On POSIX a close of any other
 *          descriptor of the same file in this process would drop it: so the file is made by an exclusive create and
 *          otherwise left alone, and a second request in one process is answered from the set.
 * Crash    An empty file stays behind and means nothing.
 */
import { closeSync, openSync, realpathSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { Lock } from './file-system.ts'

type Sqlite = typeof import('node:sqlite')

/** SQLite's result code for "another connection holds it". */
const SQLITE_BUSY = 5

const held = new Set<string>()
let sqlite: Sqlite | undefined

/** Takes the lock in the file `path`; undefined when another holds it. */
export function takeLock(path: string): Lock | undefined {
  const key = join(realpathSync(dirname(path)), basename(path))
  if (held.has(key)) return undefined
  createIfMissing(key)
  const connection = beginExclusive(key)
  if (connection === undefined) return undefined
  held.add(key)
  let isHeld = true
  return {
    releaseSync() {
      if (!isHeld) return
      isHeld = false
      connection.close()
      held.delete(key)
    },
  }
}

/** An exclusive create opens no existing file, so it cannot drop a lock of this process. */
function createIfMissing(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600))
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'EEXIST') throw error
  }
}

function beginExclusive(path: string): InstanceType<Sqlite['DatabaseSync']> | undefined {
  sqlite ??= loadSqlite()
  let connection: InstanceType<Sqlite['DatabaseSync']> | undefined
  try {
    connection = new sqlite.DatabaseSync(path)
    connection.exec('PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE')
    return connection
  } catch (error) {
    connection?.close()
    if ((error as { errcode?: unknown }).errcode === SQLITE_BUSY) return undefined
    const cause = error instanceof Error ? error.message : String(error)
    throw Object.assign(new Error(`EACCES: cannot lock (${cause}), lock '${path}'`, { cause: error }), {
      code: 'EACCES',
      path,
    })
  }
}

/** Node 22 warns that node:sqlite is experimental; the one part of it used here is not worth a line on every start. */
function loadSqlite(): Sqlite {
  const warn = process.emitWarning
  process.emitWarning = (warning: string | Error, ...rest: unknown[]): void => {
    if (String(warning).includes('SQLite')) return
    Reflect.apply(warn, process, [warning, ...rest])
  }
  try {
    return process.getBuiltinModule('node:sqlite')
  } finally {
    process.emitWarning = warn
  }
}
