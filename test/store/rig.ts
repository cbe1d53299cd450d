/**
 * What the suites of the public surface share: stores on the simulated doors or on a directory of their own.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach } from 'vitest'
import { simulatedFileSystem, type SimulatedFileSystem } from '../../src/base/memory-file-system.ts'
import { TUNING, type TunableOpenOptions, type TuningOptions } from '../../src/options.ts'
import { openStore, type LogRecord, type Reader, type Store } from '../../src/varve.ts'
import { seededRandom, testClock, type TestClock } from '../../src/testing.ts'

export { rejected } from '../support/rejected.ts'

/** A small ring: a store opens in a moment. */
export const SMALL: TuningOptions = { journal: { fileBytes: 256 * 1024, fileCount: 4 }, groupBytes: 64 * 1024 }

/** A store on simulated doors, which a second open may share. */
export class Simulated {
  readonly fileSystem: SimulatedFileSystem
  readonly clock: TestClock
  readonly options: TunableOpenOptions & { readonly mode?: 'read-write' }

  constructor(tuning: TuningOptions = SMALL, startMs?: number) {
    this.fileSystem = simulatedFileSystem()
    this.clock = testClock(startMs)
    this.options = { fileSystem: this.fileSystem, clock: this.clock, random: seededRandom(7), [TUNING]: tuning }
  }

  open(more: TunableOpenOptions & { readonly mode?: 'read-write' } = {}): Promise<Store> {
    return openStore('/s', { ...this.options, ...more })
  }

  /** Reads that wait and timers that are due go on. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 5; turn++) await this.clock.advance(0)
  }
}

const directories: string[] = []

/** A directory of its own, removed after the test. */
export function freshDirectory(): string {
  const path = mkdtempSync(join(tmpdir(), 'varve-store-'))
  directories.push(path)
  return path
}

afterEach(() => {
  for (const path of directories.splice(0)) rmSync(path, { recursive: true, force: true })
})

/** All that a reader hands out. */
export async function all<K, V, N extends string>(reader: Reader<K, V, N>): Promise<LogRecord<K, V, N>[]> {
  const records: LogRecord<K, V, N>[] = []
  for await (const record of reader) records.push(record)
  return records
}

export async function values<V>(reader: Reader<unknown, V>): Promise<(V | null)[]> {
  return (await all(reader)).map((record) => record.value)
}

/** Numbers from `from`, below `to`. */
export function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, index) => from + index)
}

export function text(bytes: Uint8Array | null): string | null {
  return bytes === null ? null : new TextDecoder().decode(bytes)
}

export function raw(value: string): Uint8Array {
  return new TextEncoder().encode(value)
}
