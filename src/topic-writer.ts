/**
 * Many appends without a promise each.
 *
 * Owns     how many bytes wait, and the first failure, which ends the writer.
 * Holds    Order of calls is order in each partition. `flush` resolves when all that was written before is
 *          acknowledged. A record that is refused for itself is the caller's error and does not end the writer.
 * @hot
 */
import type { NewRecord, Positions, Signal, Writer } from './base/api-records.ts'
import { VarveError } from './base/errors.ts'
import type { Forming, Waiter } from './log/forming.ts'
import type { PartitionLog } from './log/log.ts'
import type { ResolvedWriterOptions } from './options.ts'
import type { TopicAppender } from './topic-append.ts'

/** What this writer has in one forming group of one log. */
class GroupWaiter implements Waiter {
  end = 0
  bytes = 0
  readonly log: PartitionLog
  readonly forming: Forming
  readonly #settled: (waiter: GroupWaiter, error: unknown) => void

  constructor(log: PartitionLog, forming: Forming, settled: (waiter: GroupWaiter, error: unknown) => void) {
    this.log = log
    this.forming = forming
    this.#settled = settled
  }

  done(): void {
    this.#settled(this, undefined)
  }

  failed(error: unknown): void {
    this.#settled(this, error)
  }
}

export class TopicWriter<KIn, VIn> implements Writer<KIn, VIn> {
  readonly #appender: TopicAppender<KIn, VIn>
  readonly #options: ResolvedWriterOptions
  readonly #open = new Map<PartitionLog, GroupWaiter>()
  readonly #positions = new Map<number, number>()
  /** What is not acknowledged yet. */
  readonly #groups = new Set<GroupWaiter>()
  #waitingBytes = 0
  #failure: { readonly error: unknown } | undefined
  #closed: Promise<void> | undefined
  #wake: (() => void)[] = []
  readonly #onAbort = (): void => this.#fail(this.#options.signal!.reason)

  /** The store's queue takes `maxQueuedBytes`: a writer that is obeyed never meets its end. */
  constructor(appender: TopicAppender<KIn, VIn>, options: ResolvedWriterOptions, maxQueuedBytes: number) {
    this.#appender = appender
    this.#options = { ...options, bufferBytes: Math.min(options.bufferBytes, Math.ceil(maxQueuedBytes / 2)) }
    const { signal } = options
    if (signal?.aborted === true) this.#fail(signal.reason)
    else signal?.addEventListener('abort', this.#onAbort, { once: true })
  }

  write(record: NewRecord<KIn, VIn>): boolean {
    this.#check()
    const log = this.#appender.prepare(record)
    const offset = this.#appender.take(log, this.#options.durability === 'disk')
    const waiter = this.#waiterOf(log)
    const bytes = this.#appender.lastBytes
    waiter.end = offset + 1
    waiter.bytes += bytes
    this.#waitingBytes += bytes
    return this.#waitingBytes < this.#options.bufferBytes
  }

  async drained(options?: Signal): Promise<void> {
    while (this.#waitingBytes >= this.#options.bufferBytes) {
      this.#check()
      await this.#progress(options?.signal)
    }
    this.#check()
  }

  async flush(options?: Signal): Promise<Positions> {
    this.#check()
    await this.#flush(options?.signal)
    return Object.fromEntries(this.#positions)
  }

  toWritableStream(): WritableStream<NewRecord<KIn, VIn>> {
    return new WritableStream<NewRecord<KIn, VIn>>({
      write: async (record) => {
        if (!this.write(record)) await this.drained()
      },
      close: () => this.close(),
      abort: (reason) => this.#fail(reason),
    })
  }

  close(): Promise<void> {
    this.#closed ??= this.#flush(undefined).finally(() =>
      this.#options.signal?.removeEventListener('abort', this.#onAbort),
    )
    return this.#closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Waits for what was written until now, not for what follows. */
  async #flush(signal: AbortSignal | undefined): Promise<void> {
    const before = [...this.#groups]
    while (this.#failure === undefined && before.some((group) => this.#groups.has(group))) await this.#progress(signal)
    if (this.#failure !== undefined) throw this.#failure.error
  }

  #waiterOf(log: PartitionLog): GroupWaiter {
    const open = this.#open.get(log)
    const forming = log.forming!
    if (open !== undefined && open.forming === forming) return open
    const waiter = new GroupWaiter(log, forming, (settled, error) => this.#settled(settled, error))
    forming.waiters.push(waiter)
    this.#open.set(log, waiter)
    this.#groups.add(waiter)
    return waiter
  }

  #settled(waiter: GroupWaiter, error: unknown): void {
    if (this.#open.get(waiter.log) === waiter) this.#open.delete(waiter.log)
    this.#groups.delete(waiter)
    this.#waitingBytes -= waiter.bytes
    if (error !== undefined) this.#failure ??= { error }
    else this.#positions.set(waiter.log.partition, waiter.end)
    this.#wakeAll()
  }

  #fail(error: unknown): void {
    this.#failure ??= { error }
    this.#wakeAll()
  }

  #wakeAll(): void {
    const wake = this.#wake
    this.#wake = []
    for (const run of wake) run()
  }

  #progress(signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted()
    return new Promise((resolve, reject) => {
      const aborted = (): void => reject(signal!.reason as Error)
      signal?.addEventListener('abort', aborted, { once: true })
      this.#wake.push(() => {
        signal?.removeEventListener('abort', aborted)
        resolve()
      })
    })
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure.error
    if (this.#closed !== undefined) throw new VarveError('CLOSED', 'The writer is closed.', { what: 'writer' })
  }
}
