/** What the machine gives without an engine: the same bytes, the same file system, plain calls. */
import {
  closeSync,
  fdatasync,
  openSync,
  readdirSync,
  readSync,
  write,
  writeSync,
  fdatasyncSync,
  fsyncSync,
} from 'node:fs'
import { join } from 'node:path'
import { noiseBytes } from './harness.ts'

/**
 * Writes `total` bytes in order, `chunkBytes` a call, into one new file; milliseconds. Then they are synced: who writes
 * next finds the kernel and the disk as the close of a store leaves them.
 */
export function rawWriteMs(directory: string, total: number, chunkBytes: number): number {
  const chunk = noiseBytes(chunkBytes)
  const file = openSync(join(directory, 'raw'), 'wx')
  const start = performance.now()
  for (let position = 0; position < total; position += chunkBytes) {
    writeSync(file, chunk, 0, Math.min(chunkBytes, total - position), position)
  }
  const ms = performance.now() - start
  fdatasyncSync(file)
  closeSync(file)
  return ms
}

/** Reads whole files in order, 1 MiB a call, into one buffer; bytes and milliseconds. */
export function rawReadMs(paths: readonly string[]): { readonly bytes: number; readonly ms: number } {
  const buffer = new Uint8Array(1024 * 1024)
  let bytes = 0
  const start = performance.now()
  for (const path of paths) {
    const file = openSync(path, 'r')
    for (let got = 1, position = 0; got > 0; position += got) {
      got = readSync(file, buffer, 0, buffer.length, position)
      bytes += got
    }
    closeSync(file)
  }
  return { bytes, ms: performance.now() - start }
}

/** Every `.log` file below a store's directory, in order. */
export function logFiles(storeDirectory: string): string[] {
  const names = readdirSync(join(storeDirectory, 'log'), { recursive: true, encoding: 'utf8' })
  return names
    .filter((name) => name.endsWith('.log'))
    .sort()
    .map((name) => join(storeDirectory, 'log', name))
}

/** A file of zeros that are really on the disk: overwriting it changes no metadata. */
export class ZeroFilledFile {
  readonly #file: number
  readonly #bytes: number
  #position = 0

  constructor(path: string, bytes: number) {
    this.#file = openSync(path, 'wx+')
    this.#bytes = bytes
    const zeros = new Uint8Array(1024 * 1024)
    for (let position = 0; position < bytes; position += zeros.length) {
      writeSync(this.#file, zeros, 0, Math.min(zeros.length, bytes - position), position)
    }
    fsyncSync(this.#file)
  }

  /** One write and one fdatasync, both without blocking the event loop. */
  async pair(bytes: Uint8Array): Promise<void> {
    const position = this.#advance(bytes.length)
    await new Promise<void>((resolve, reject) => {
      write(this.#file, bytes, 0, bytes.length, position, (error) => {
        if (error !== null) return reject(error)
        fdatasync(this.#file, (failure) => (failure === null ? resolve() : reject(failure)))
      })
    })
  }

  /** The same with calls that block: what the device takes, without the trip through the thread pool. */
  pairSync(bytes: Uint8Array): void {
    writeSync(this.#file, bytes, 0, bytes.length, this.#advance(bytes.length))
    fdatasyncSync(this.#file)
  }

  close(): void {
    closeSync(this.#file)
  }

  #advance(size: number): number {
    if (this.#position + size > this.#bytes) this.#position = 0
    const position = this.#position
    // As a journal would: every entry begins on a block of its own.
    this.#position = Math.ceil((position + size) / 4096) * 4096
    return position
  }
}

/** Times of `count` raw pairs, in milliseconds, one after the other. */
export async function rawPairTimes(path: string, groupBytes: number, count: number): Promise<Float64Array> {
  const file = new ZeroFilledFile(path, 32 * 1024 * 1024)
  const bytes = noiseBytes(groupBytes)
  const times = new Float64Array(count)
  for (let i = 0; i < count; i++) {
    const start = performance.now()
    await file.pair(bytes)
    times[i] = performance.now() - start
  }
  file.close()
  return times
}
