/** A bucket in memory whose reads wait until they are let go, and that counts what it gave. */
import { MemoryObjectStore } from '../../src/base/memory-object-store.ts'
import type { ReadOptions, ReadResult } from '../../src/base/object-store.ts'

export interface AskedRange {
  readonly name: string
  readonly start: number
  readonly bytes: number
}

export class GatedStore extends MemoryObjectStore {
  /** Reads that were begun, in order. */
  readonly asked: AskedRange[] = []
  /** Changes what is answered; the object itself stays as it is. */
  change: ((bytes: Uint8Array, asked: AskedRange) => void) | undefined
  #gate: Promise<void> | undefined
  #open: (() => void) | undefined

  /** Reads wait from here on. */
  shut(): void {
    this.#gate = new Promise<void>((resolve) => (this.#open = resolve))
  }

  letGo(): void {
    this.#gate = undefined
    this.#open?.()
  }

  override async read(name: string, options: ReadOptions): Promise<ReadResult> {
    const { start = 0, end = 0 } = options.range ?? {}
    const asked = { name, start, bytes: end - start }
    this.asked.push(asked)
    await this.#gate
    const result = await super.read(name, options)
    if (result.kind === 'read') this.change?.(result.bytes, asked)
    return result
  }
}

/** Everything that microtasks do is done. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
