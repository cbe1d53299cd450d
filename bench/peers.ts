/**
 * The other engines that are measured beside Varve, with the few calls that the benchmarks use.
 *
 * Owns     how they are loaded and set up. `npm run bench` installs them from `bench/package-lock.json`; one that is
 *          missing is left out. `node:sqlite` comes with Node.
 * Holds    Each is used at the durability that the benchmark asks: `os` without a sync, `disk` with one before it
 *          answers. `rocksdb-native` offers no sync, so it is absent where one is asked for.
 */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'

const HERE = fileURLToPath(new URL('.', import.meta.url))
const NAMES = ['lmdb', 'classic-level', 'rocksdb-native'] as const

type PeerName = (typeof NAMES)[number]

/** A store of numbered values, as a peer offers it. */
export interface PeerStore {
  /** Stores one value under the next number; resolves when it is stored as durably as asked. */
  put(index: number, value: Uint8Array): Promise<unknown>
  /** Stores many values at once. */
  putMany(first: number, values: readonly Uint8Array[]): Promise<unknown>
  /** Reads everything in order; answers the number of values. */
  scan(): Promise<number>
  /** The value under a number, at once; absent where a peer cannot. */
  getSync?(index: number): Uint8Array | undefined
  close(): Promise<unknown>
}

export interface Peer {
  readonly name: string
  readonly version: string
  /** Answers to `put` come in order of the calls: waiting for the last one is enough. */
  readonly inOrder: boolean
  open(directory: string, durability: 'os' | 'disk'): Promise<PeerStore>
}

export interface Peers {
  /** All that can be loaded, by name. */
  readonly all: readonly Peer[]
  named(...names: string[]): Peer[]
}

export function loadPeers(say: (line: string) => void): Peers {
  const all: Peer[] = [sqlite()]
  const makers: Readonly<Record<PeerName, () => Peer>> = {
    lmdb,
    'classic-level': classicLevel,
    'rocksdb-native': rocksdb,
  }
  for (const name of NAMES) {
    try {
      all.push(makers[name]())
    } catch (error) {
      say(`${name} cannot be loaded, it is left out: ${String(error)}`)
    }
  }
  return { all, named: (...names) => all.filter(({ name }) => names.includes(name)) }
}

const require = createRequire(join(HERE, 'package.json'))

function versionOf(name: PeerName): string {
  const text = readFileSync(join(HERE, 'node_modules', name, 'package.json'), 'utf8')
  return String((JSON.parse(text) as { version: unknown }).version)
}

interface LmdbDatabase {
  get(key: number): Uint8Array | undefined
  put(key: number, value: Uint8Array): Promise<boolean>
  getRange(): Iterable<{ value: Uint8Array }>
  transaction<T>(run: () => T): Promise<T>
  close(): Promise<void>
}

function lmdb(): Peer {
  const { open } = require('lmdb') as { open(options: object): LmdbDatabase }
  return {
    name: 'lmdb',
    version: versionOf('lmdb'),
    inOrder: true,
    open: async (directory, durability) => {
      const db = open({
        path: join(directory, 'lmdb'),
        encoding: 'binary',
        keyEncoding: 'uint32',
        noSync: durability === 'os',
        // A put then answers when its commit is synced, not before.
        overlappingSync: false,
      })
      return {
        put: (index, value) => db.put(index, value),
        putMany: (first, values) => db.transaction(() => values.forEach((value, i) => void db.put(first + i, value))),
        scan: async () => {
          let count = 0
          for (const { value } of db.getRange()) if (value.length >= 0) count++
          return count
        },
        getSync: (index) => db.get(index),
        close: () => db.close(),
      }
    },
  }
}

interface LevelDatabase {
  getSync(key: Uint8Array): Uint8Array | undefined
  open(): Promise<void>
  put(key: Uint8Array, value: Uint8Array, options: object): Promise<void>
  batch(operations: readonly object[], options: object): Promise<void>
  iterator(): { nextv(size: number): Promise<unknown[]>; close(): Promise<void> }
  close(): Promise<void>
}

function classicLevel(): Peer {
  const { ClassicLevel } = require('classic-level') as {
    ClassicLevel: new (path: string, options: object) => LevelDatabase
  }
  return {
    name: 'classic-level',
    version: versionOf('classic-level'),
    inOrder: false,
    open: async (directory, durability) => {
      const encodings = { keyEncoding: 'view', valueEncoding: 'view', compression: false }
      const db = new ClassicLevel(join(directory, 'level'), encodings)
      const options = { sync: durability === 'disk' }
      await db.open()
      return {
        put: (index, value) => db.put(keyOf(index), value, options),
        putMany: (first, values) =>
          db.batch(
            values.map((value, i) => ({ type: 'put', key: keyOf(first + i), value })),
            options,
          ),
        scan: async () => {
          const iterator = db.iterator()
          let count = 0
          for (let got = await iterator.nextv(1000); got.length > 0; got = await iterator.nextv(1000))
            count += got.length
          await iterator.close()
          return count
        },
        getSync: (index) => db.getSync(keyOf(index)),
        close: () => db.close(),
      }
    },
  }
}

interface RocksDatabase {
  ready(): Promise<void>
  write(): { put(key: Uint8Array, value: Uint8Array): Promise<void>; flush(): Promise<void>; destroy(): void }
  iterator(range: object): AsyncIterable<unknown>
  close(): Promise<void>
}

function rocksdb(): Peer {
  const RocksDB = require('rocksdb-native') as new (path: string) => RocksDatabase
  return {
    name: 'rocksdb-native',
    version: versionOf('rocksdb-native'),
    inOrder: false,
    open: async (directory) => {
      const db = new RocksDB(join(directory, 'rocksdb'))
      await db.ready()
      const putMany = async (first: number, values: readonly Uint8Array[]): Promise<void> => {
        const batch = db.write()
        values.forEach((value, i) => void batch.put(keyOf(first + i), value))
        await batch.flush()
        batch.destroy()
      }
      return {
        put: (index, value) => putMany(index, [value]),
        putMany,
        scan: async () => {
          let count = 0
          for await (const entry of db.iterator({ gte: keyOf(0) })) if (entry !== null) count++
          return count
        },
        close: () => db.close(),
      }
    },
  }
}

function sqlite(): Peer {
  return {
    name: 'node:sqlite',
    version: process.versions['sqlite'] ?? process.version,
    inOrder: true,
    open: async (directory, durability) => {
      const db = new DatabaseSync(join(directory, 'sqlite.db'))
      db.exec(`PRAGMA journal_mode=WAL; PRAGMA synchronous=${durability === 'disk' ? 'FULL' : 'OFF'}`)
      db.exec('CREATE TABLE log (offset INTEGER PRIMARY KEY, value BLOB NOT NULL)')
      const insert = db.prepare('INSERT INTO log (offset, value) VALUES (?, ?)')
      const all = db.prepare('SELECT offset, value FROM log ORDER BY offset')
      const put = async (index: number, value: Uint8Array): Promise<void> => {
        insert.run(index, value)
      }
      const putMany = async (first: number, values: readonly Uint8Array[]): Promise<void> => {
        db.exec('BEGIN')
        for (const [i, value] of values.entries()) insert.run(first + i, value)
        db.exec('COMMIT')
      }
      const scan = async (): Promise<number> => {
        let count = 0
        for (const row of all.iterate()) if (row !== null) count++
        return count
      }
      return { put, putMany, scan, close: async () => db.close() }
    },
  }
}

/** Numbers as keys that sort by their value. */
export function keyOf(index: number): Uint8Array {
  const key = new Uint8Array(8)
  // Not by a DataView: that needs the buffer of a small array, which is made only then, at ten times the array's cost.
  key[4] = index >>> 24
  key[5] = index >>> 16
  key[6] = index >>> 8
  key[7] = index
  return key
}
