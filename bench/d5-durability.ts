/**
 * D5: what a durable group of 64 records costs, spread over 1, 4, 16 and 64 partitions, in five ways to keep it.
 *
 * `files`     the group's part of each partition appended to its file, then fdatasync of each, side by side
 * `frontier`  as `files`, then a second synced file that says how far all is durable
 * `journal`   one write and one fdatasync in a shared, zero-filled file; then the parts to their files, unsynced
 * `varve`     the store itself, 64 writers
 *
 * Figures are groups per second; the factor of design D5 is the time of a group to that of one file.
 */
import { closeSync, fdatasync, fsyncSync, openSync, write, writeSync } from 'node:fs'
import { join } from 'node:path'
import {
  amount,
  conclude,
  inFreshDirectory,
  interleave,
  noiseBytes,
  type Benchmark,
  type BenchContext,
  type BenchResult,
  type Contender,
} from './harness.ts'
import { openOurs } from './ours.ts'
import { ZeroFilledFile } from './raw.ts'

const GROUP_RECORDS = 64
const RECORD_BYTES = 128
const MIB = 1024 * 1024
const SPREADS = [1, 4, 16, 64]

export const d5Durability: Benchmark = {
  id: 'D5',
  what: 'ways to make a group durable',
  neededBytes: () => 1024 * MIB,
  async run(context) {
    const results: BenchResult[] = []
    const base: Contender = {
      name: 'limit',
      run: () => groupsPerSecond(context, (directory) => new Files(directory, 1)),
    }
    for (const files of SPREADS) {
      const contenders: Contender[] = [
        { name: 'ours', run: () => ourGroups(context, files) },
        base,
        { name: 'files', run: () => groupsPerSecond(context, (directory) => new Files(directory, files)) },
        { name: 'frontier', run: () => groupsPerSecond(context, (directory) => new Frontier(directory, files)) },
        { name: 'journal', run: () => groupsPerSecond(context, (directory) => new Journal(directory, files)) },
      ]
      const series = await interleave(context, contenders)
      results.push(
        conclude(
          {
            id: 'D5',
            what: `durable groups of ${GROUP_RECORDS} records over ${files} partition${files === 1 ? '' : 's'}`,
            unit: 'groups/s',
            notes: ['limit: one file, append + fdatasync; ours: records/s of 64 writers / 64; the rest is plain calls'],
          },
          series,
        ),
      )
    }
    return results
  },
}

interface Way {
  group(bytes: Uint8Array): Promise<void>
  close(): void
}

async function groupsPerSecond(context: BenchContext, make: (directory: string) => Way): Promise<number> {
  return inFreshDirectory(context, async (directory) => {
    const way = make(directory)
    const bytes = noiseBytes(GROUP_RECORDS * RECORD_BYTES)
    const length = amount(context, 4_000, 800, 50)
    await way.group(bytes)
    let groups = 0
    const start = performance.now()
    for (; performance.now() - start < length; groups++) await way.group(bytes)
    const ms = performance.now() - start
    way.close()
    return groups / (ms / 1000)
  })
}

/** Every partition its own file, each appended to and synced. */
class Files implements Way {
  readonly #files: readonly number[]
  #position = 0

  constructor(directory: string, count: number) {
    this.#files = Array.from({ length: count }, (_, i) => openSync(join(directory, `part-${i}`), 'wx'))
  }

  async group(bytes: Uint8Array): Promise<void> {
    const size = bytes.length / this.#files.length
    const position = this.#position
    this.#position += size
    await Promise.all(this.#files.map((file, i) => appendAndSync(file, bytes, i * size, size, position)))
  }

  close(): void {
    this.#files.forEach((file) => closeSync(file))
  }
}

class Frontier implements Way {
  readonly #files: Files
  readonly #frontier: number
  readonly #entry = noiseBytes(512)

  constructor(directory: string, count: number) {
    this.#files = new Files(directory, count)
    this.#frontier = openSync(join(directory, 'frontier'), 'wx')
    writeSync(this.#frontier, new Uint8Array(4096), 0, 4096, 0)
    fsyncSync(this.#frontier)
  }

  async group(bytes: Uint8Array): Promise<void> {
    await this.#files.group(bytes)
    await appendAndSync(this.#frontier, this.#entry, 0, this.#entry.length, 0)
  }

  close(): void {
    this.#files.close()
    closeSync(this.#frontier)
  }
}

class Journal implements Way {
  readonly #ring: ZeroFilledFile
  readonly #files: readonly number[]
  #position = 0

  constructor(directory: string, count: number) {
    this.#ring = new ZeroFilledFile(join(directory, 'journal'), 32 * MIB)
    this.#files = Array.from({ length: count }, (_, i) => openSync(join(directory, `part-${i}`), 'wx'))
  }

  async group(bytes: Uint8Array): Promise<void> {
    await this.#ring.pair(bytes)
    const size = bytes.length / this.#files.length
    this.#files.forEach((file, i) => writeSync(file, bytes, i * size, size, this.#position))
    this.#position += size
  }

  close(): void {
    this.#ring.close()
    this.#files.forEach((file) => closeSync(file))
  }
}

function appendAndSync(file: number, bytes: Uint8Array, start: number, size: number, position: number): Promise<void> {
  return new Promise((resolve, reject) => {
    write(file, bytes, start, size, position, (error) => {
      if (error !== null) return reject(error)
      fdatasync(file, (failure) => (failure === null ? resolve() : reject(failure)))
    })
  })
}

function ourGroups(context: BenchContext, partitions: number): Promise<number> {
  return inFreshDirectory(context, async (directory) => {
    const { store, topic } = await openOurs(directory, 'disk', partitions)
    const value = noiseBytes(RECORD_BYTES - 12)
    const length = amount(context, 4_000, 800, 50)
    let count = 0
    const start = performance.now()
    const writer = async (index: number): Promise<void> => {
      while (performance.now() - start < length) {
        await topic.append({ value, partition: index % partitions })
        count++
      }
    }
    await Promise.all(Array.from({ length: GROUP_RECORDS }, (_, index) => writer(index)))
    const ms = performance.now() - start
    await store.close()
    return count / GROUP_RECORDS / (ms / 1000)
  })
}
