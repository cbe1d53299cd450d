/**
 * A read in progress: the partitions of a topic, one batch after the other, as records, batches or a stream.
 *
 * Owns     which partition comes next, what was handed out (`positions`), how the read ends.
 * Holds    Each partition in order. A position stands behind the last record that was handed out, never behind one
 *          that was not. It is iterated once. Nothing is read before the first pull.
 * Shared   one consumer; pulls that overlap are answered in order.
 * @hot
 */
import type { TracingChannels } from './base/api-diagnostics.ts'
import type { Batch, Reader } from './base/api-read.ts'
import type { LogRecord, Positions } from './base/api-records.ts'
import { readChannel, traced } from './base/diagnostics.ts'
import { VarveError } from './base/errors.ts'
import type { ResolvedReadOptions } from './base/read-options.ts'
import type { StoredBatch } from './topic-batch.ts'
import { type PartitionRead } from './topic-read-partition.ts'
import { recordUnlessSkipped } from './topic-undecodable.ts'

/** What to read, and how to open its partitions. */
export interface ReadPlan<K, V, N extends string> {
  readonly options: ResolvedReadOptions
  open(): PartitionRead<K, V, N>[]
  /** What the tracing channel hears of a pull. */
  trace(): ReadMessage
}

type ReadMessage = TracingChannels['varve:read']

const DONE: IteratorReturnResult<undefined> = Object.freeze({ done: true, value: undefined })

export class TopicReader<K, V, N extends string> implements Reader<K, V, N> {
  readonly #plan: ReadPlan<K, V, N>
  #reads: readonly PartitionRead<K, V, N>[] = []
  #current = 0
  #started = false
  #iterated = false
  #closed = false
  #failure: { readonly error: unknown } | undefined
  #rest: StoredBatch<K, V, N> | undefined
  /** The last batch that was handed out, perhaps in memory that is used again. */
  #shown: StoredBatch<K, V, N> | undefined
  #wake: (() => void) | undefined
  readonly #onAbort = (): void => this.#fail(this.#plan.options.signal!.reason)

  constructor(plan: ReadPlan<K, V, N>) {
    this.#plan = plan
  }

  [Symbol.asyncIterator](): AsyncIterator<LogRecord<K, V, N>, undefined, void> {
    this.#iterate()
    return this.#records()
  }

  batches(): AsyncIterableIterator<Batch<K, V, N>, undefined, void> {
    this.#iterate()
    const next = serial(async (): Promise<IteratorResult<Batch<K, V, N>, undefined>> => {
      const batch = await this.#pull(true)
      if (batch === undefined) return DONE
      this.#handedOut(batch.partition, batch.nextOffset)
      return { done: false, value: batch }
    })
    const iterator: AsyncIterableIterator<Batch<K, V, N>, undefined, void> = {
      next,
      return: () => this.#return(),
      [Symbol.asyncIterator]: () => iterator,
    }
    return iterator
  }

  toReadableStream(): ReadableStream<LogRecord<K, V, N>> {
    const iterator = this[Symbol.asyncIterator]()
    return new ReadableStream<LogRecord<K, V, N>>({
      async pull(controller) {
        const { done, value } = await iterator.next()
        if (done === true) controller.close()
        else controller.enqueue(value)
      },
      cancel: () => this.close(),
    })
  }

  positions(): Positions {
    const positions: Record<number, number> = {}
    for (const read of this.#opened()) positions[read.log.partition] = read.handedOut
    return positions
  }

  lag(): number {
    let lag = 0
    for (const read of this.#opened()) lag += Math.max(0, read.limit - read.handedOut)
    return lag
  }

  close(): Promise<void> {
    if (!this.#closed) this.#end()
    return Promise.resolve()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #iterate(): void {
    if (this.#iterated || this.#closed) {
      throw new VarveError('CLOSED', 'A reader is iterated once; call read() again.', { what: 'reader' })
    }
    this.#iterated = true
  }

  /** Records one by one; what is in memory is answered without a wait. */
  #records(): AsyncIterator<LogRecord<K, V, N>, undefined, void> {
    let batch: StoredBatch<K, V, N> | undefined
    let index = 0
    const fromMemory = (): IteratorYieldResult<LogRecord<K, V, N>> | undefined => {
      while (batch !== undefined) {
        if (this.#failure !== undefined) throw this.#failure.error
        if (this.#closed) return undefined
        if (index === batch.length) {
          this.#handedOut(batch.partition, batch.nextOffset)
          batch = undefined
          break
        }
        const record = recordUnlessSkipped(batch, index, this.#plan.options.onUndecodable)
        this.#handedOut(batch.partition, batch.offsets[index++]! + 1)
        if (record !== undefined) return { done: false, value: record }
      }
      return undefined
    }
    /** What it throws ends the read. */
    const ended = <T>(work: () => T): T => {
      try {
        return work()
      } catch (error) {
        this.#end()
        throw error
      }
    }
    const slow = serial(async (): Promise<IteratorResult<LogRecord<K, V, N>, undefined>> => {
      for (;;) {
        const found = ended(fromMemory)
        if (found !== undefined) return found
        batch = await this.#pull(false)
        index = 0
        if (batch === undefined) return DONE
      }
    })
    return {
      next: () => {
        if (slow.isBusy()) return slow()
        try {
          const found = ended(fromMemory)
          return found === undefined ? slow() : Promise.resolve(found)
        } catch (error) {
          return Promise.reject(error)
        }
      },
      return: () => this.#return(),
    }
  }

  /** The next batch; undefined at the end. */
  async #pull(isShown: boolean): Promise<StoredBatch<K, V, N> | undefined> {
    try {
      if (!this.#started) await this.#start(isShown)
      return await traced(
        readChannel,
        () => this.#plan.trace(),
        (message) => this.#tracedBatch(message),
      )
    } catch (error) {
      this.#end()
      throw error
    }
  }

  async #tracedBatch(message: ReadMessage | undefined): Promise<StoredBatch<K, V, N> | undefined> {
    const batch = await this.#nextBatch()
    if (message !== undefined && batch !== undefined) {
      message.tier = 'local'
      message.records = batch.length
    }
    return batch
  }

  async #start(isShown: boolean): Promise<void> {
    this.#started = true
    const { signal, from, until } = this.#plan.options
    this.#check()
    signal?.addEventListener('abort', this.#onAbort, { once: true })
    this.#reads = this.#opened()
    for (const read of this.#reads) {
      if (isShown) read.reading = 'shown'
      await read.begin(from, until)
    }
  }

  /** What is read; before the first pull, what would be. */
  #opened(): readonly PartitionRead<K, V, N>[] {
    if (this.#reads.length > 0) return this.#reads
    const reads = this.#plan.open()
    for (const read of reads) read.place(this.#plan.options.from)
    return reads
  }

  async #nextBatch(): Promise<StoredBatch<K, V, N> | undefined> {
    for (;;) {
      this.#check()
      if (this.#closed) return undefined
      if (this.#rest !== undefined) return this.#cut(this.#rest)
      this.#shown?.keep()
      let open = 0
      for (let tried = 0; tried < this.#reads.length; tried++) {
        const read = this.#reads[this.#current]!
        const batch = read.take()
        if (batch !== undefined) return this.#cut(batch)
        if (await read.more()) {
          tried = -1
          this.#check()
          if (this.#closed) return undefined
          continue
        }
        if (!read.isDone) open++
        this.#current = (this.#current + 1) % this.#reads.length
      }
      if (open === 0) return this.#finish()
      await this.#growth()
    }
  }

  #finish(): undefined {
    this.#end()
    return undefined
  }

  /** At most `maxBatchRecords` of it now, the rest at the next pull. */
  #cut(batch: StoredBatch<K, V, N>): StoredBatch<K, V, N> {
    const most = this.#plan.options.maxBatchRecords
    this.#rest = batch.length > most ? batch.slice(most, batch.length) : undefined
    const now = batch.length > most ? batch.slice(0, most) : batch
    this.#reads[this.#current]!.advance(now.nextOffset)
    this.#shown = now
    return now
  }

  /** Waits until some partition may have more. */
  async #growth(): Promise<void> {
    const stops: (() => void)[] = []
    await new Promise<void>((resolve) => {
      this.#wake = resolve
      for (const read of this.#reads) {
        if (read.offset < read.limit || read.log.ended !== undefined) resolve()
        if (!read.isDone) stops.push(read.log.onGrowth(resolve))
      }
    })
    this.#wake = undefined
    for (const stop of stops) stop()
  }

  #handedOut(partition: number, offset: number): void {
    const read = this.#reads[this.#current]!
    if (read.log.partition === partition) read.handedOut = offset
    else this.#reads.find((other) => other.log.partition === partition)!.handedOut = offset
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure.error
    const { signal } = this.#plan.options
    if (signal?.aborted === true) throw signal.reason
  }

  #fail(error: unknown): void {
    this.#failure ??= { error }
    this.#wake?.()
  }

  #end(): void {
    this.#closed = true
    this.#plan.options.signal?.removeEventListener('abort', this.#onAbort)
    this.#shown?.keep()
    for (const read of this.#reads) read.close()
    this.#wake?.()
  }

  #return(): Promise<IteratorReturnResult<undefined>> {
    this.#end()
    return Promise.resolve(DONE)
  }
}

/** Calls run one at a time, in order. */
function serial<T>(task: () => Promise<T>): (() => Promise<T>) & { isBusy(): boolean } {
  let last: Promise<unknown> | undefined
  const run = (): Promise<T> => {
    const result = last === undefined ? task() : last.then(task, task)
    last = result
    const done = (): void => {
      if (last === result) last = undefined
    }
    result.then(done, done)
    return result
  }
  return Object.assign(run, { isBusy: () => last !== undefined })
}
