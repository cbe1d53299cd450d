/**
 * `expect`: whether a log ends, or a key's newest record is, where the caller has seen it.
 *
 *   key map -> newest record up to the log end, in flight too -> compared in the turn in which the append follows
 *           -> it cannot say: once all that was appended can be read the log is awaited, and the call made again;
 *              the answer counts as long as nothing else was appended
 *
 * Holds    Answered before anything is written, against all records up to the log end: of two calls with one
 *          expectation one fails. A record of another key with the same identity never makes an expectation hold.
 *          A refusal comes when what it goes by can be read, and never before others ran: who reads again and tries
 *          again gets on, and others do.
 * @hot
 */
import { invalidOption } from './base/checks.ts'
import type { Codec } from './base/codec-face.ts'
import { VarveError } from './base/errors.ts'
import { partitionOfKey } from './base/partitioner.ts'
import type { AppendHost } from './log/append.ts'
import type { KeyHost } from './log/key-places.ts'
import type { LiveKeys } from './log/live-keys.ts'
import type { PartitionLog } from './log/log.ts'
import { isPointKey, readPoint } from './log/point-read.ts'
import { awaitStored } from './log/produce.ts'
import type { ExpectedKey, ResolvedAppendOptions } from './options.ts'
import { findNewest } from './topic-find-key.ts'
import { completeMap, KeyEncoder } from './topic-key.ts'
import type { KeySubject } from './topic-key.ts'
import { KeyReads } from './topic-key-reads.ts'

/** A log that is never quiet for a moment is not awaited for ever. */
const MOST_SEARCHES = 20

/** What a call has waited for. A search has found the key's newest offset while the log ended at `logEnd`. */
export interface Awaited {
  readonly logEnd: number
  readonly newest: number | null
  readonly searches: number
}

const NOT_SEARCHED: Awaited = { logEnd: -1, newest: null, searches: 0 }

const NOTHING_DECODED = { topic: '', key: undefined, value: () => undefined }

export class Expectations<KIn> {
  readonly #host: KeyHost
  readonly #appends: AppendHost
  readonly #topic: KeySubject
  readonly #key: KeyEncoder<KIn>

  constructor(host: KeyHost, appends: AppendHost, topic: KeySubject, codec: Codec<unknown, KIn> | undefined) {
    this.#host = host
    this.#appends = appends
    this.#topic = topic
    this.#key = new KeyEncoder(topic, codec)
  }

  /**
   * Of records that go to `log`, at once. Throws EXPECTATION_FAILED, KEY_MAP_OFF, INVALID_OPTION. A promise where that
   * is not known yet: then the call is made again, with what it resolves to.
   */
  check(
    log: PartitionLog,
    { expectedEnd, expectedKey, signal }: ResolvedAppendOptions,
    awaited: Awaited | undefined,
  ): Promise<Awaited> | undefined {
    if (expectedEnd !== undefined && log.logEnd !== expectedEnd) {
      if (awaited === undefined) return this.#wait(log, signal)
      throw endedElsewhere(log, expectedEnd)
    }
    return expectedKey === undefined ? undefined : this.#checkKey(log, expectedKey, awaited, signal)
  }

  #checkKey(
    log: PartitionLog,
    { key, offset: expected }: ExpectedKey,
    awaited: Awaited | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Awaited> | undefined {
    this.#key.encode(key as KIn & {}, 'expect.key')
    this.#checkPlace(log)
    const keys = completeMap(this.#topic, log, 'expect by key')
    const newest = this.#ask(log, keys, expected, awaited !== undefined)
    if (newest === 'coming') return this.#wait(log, signal)
    if (newest === 'open') throw failed(log, expected, this.#committed(keys), true)
    if (newest === 'unknown' && awaited?.logEnd !== log.logEnd)
      return this.#search(log, expected, (awaited?.searches ?? 0) + 1, signal)
    const offset = newest === 'unknown' ? awaited!.newest : newest
    if (offset !== expected) throw failed(log, expected, offset, false)
    return undefined
  }

  /**
   * The key's newest offset; null: none, or a tombstone. `'unknown'`: the map cannot say. `'coming'`, unless that was
   * awaited: it is another one than what is expected, and no read shows it yet.
   */
  #ask(
    log: PartitionLog,
    keys: LiveKeys,
    expected: number | null,
    isAwaited: boolean,
  ): number | null | 'open' | 'coming' | 'unknown' {
    const { bytes, start, end } = this.#key
    const { keyHasher } = this.#host
    keyHasher.hash(bytes, start, end)
    const found = keys.newest(keyHasher)
    if (found === 'open') return isAwaited ? 'open' : 'coming'
    if (found === 'contested') return 'unknown'
    if (found === 'absent') return null
    const { offset } = keys.record
    const newest = newestOf(keys)
    // Who reads again would be refused again, in the same turn.
    if (offset >= log.lastStable && newest !== expected && !isAwaited) return 'coming'
    // What is on its way cannot be read: it may be another key's, and then only its refusal does no harm.
    if (offset >= log.highWatermark) return newest === expected ? 'unknown' : newest
    if (readPoint(this.#host, log, offset, true) === 'elsewhere') return 'unknown'
    if (isPointKey(bytes, start, end)) return newest
    keyHasher.hash(bytes, start, end)
    keys.contest(keyHasher)
    return 'unknown'
  }

  #committed(keys: LiveKeys): number | null {
    const { bytes, start, end } = this.#key
    this.#host.keyHasher.hash(bytes, start, end)
    return keys.find(this.#host.keyHasher) === 'found' && !keys.record.isTombstone ? keys.record.offset : null
  }

  /** Resolves when all that was appended can be read, and others ran. */
  async #wait(log: PartitionLog, signal: AbortSignal | undefined): Promise<Awaited> {
    await this.#arrived(log, log.logEnd, signal)
    await new Promise<void>((resolve) => this.#host.clock.soon(resolve))
    return NOT_SEARCHED
  }

  async #search(
    log: PartitionLog,
    expected: number | null,
    searches: number,
    signal: AbortSignal | undefined,
  ): Promise<Awaited> {
    const reads = new KeyReads(this.#host, log, NOTHING_DECODED, this.#key.copy(), signal)
    const { logEnd } = log
    await this.#arrived(log, logEnd, signal)
    try {
      const newest = (await findNewest(reads)) && !reads.isTombstone ? reads.offset : null
      // An open transaction may have written the key, and others do not leave the log alone.
      if (log.lastStable < logEnd || searches === MOST_SEARCHES) throw failed(log, expected, newest, true)
      return { logEnd, newest, searches }
    } finally {
      reads.close()
    }
  }

  /** Resolves when all below `end` can be read, or will never be there, which the call then finds out. */
  async #arrived(log: PartitionLog, end: number, signal: AbortSignal | undefined): Promise<void> {
    let stop: (() => void) | undefined
    try {
      await new Promise<void>((resolve, reject) => {
        stop = () => reject(signal!.reason)
        signal?.addEventListener('abort', stop)
        awaitStored(this.#appends, log, { end, done: () => resolve(), failed: () => resolve() }, false)
      })
    } finally {
      if (stop !== undefined) signal?.removeEventListener('abort', stop)
    }
  }

  #checkPlace({ partition }: PartitionLog): void {
    const { logs, config } = this.#topic
    if (config.placement === 'manual') return
    const { bytes, start, end } = this.#key
    const own = partitionOfKey(bytes, start, end, logs.length)
    if (own === partition) return
    throw invalidOption('expect.key', undefined, `a key of partition ${partition}, where the records go, not of ${own}`)
  }
}

/** Of the record that was found. */
function newestOf({ record }: LiveKeys): number | null {
  return record.isTombstone ? null : record.offset
}

function endedElsewhere(log: PartitionLog, expected: number): VarveError<'EXPECTATION_FAILED'> {
  const { topic, partition, logEnd } = log
  return new VarveError(
    'EXPECTATION_FAILED',
    `The log end of ${topic}/${partition} is ${logEnd}, not ${expected} as expected. ` +
      'Nothing was written; read on and decide again.',
    { topic, partition, expected, actual: logEnd },
    { outcome: 'definite' },
  )
}

function failed(
  { topic, partition }: PartitionLog,
  expected: number | null,
  actual: number | null,
  isPassing: boolean,
): VarveError<'EXPECTATION_FAILED'> {
  const message = isPassing
    ? `A transaction that is still open, or others, may be writing the expected key in ${topic}/${partition}. ` +
      'Nothing was written; try again a little later.'
    : `The newest record of the expected key in ${topic}/${partition} is ${placeOf(actual)}, not ` +
      `${placeOf(expected)}. Nothing was written; read the key again and decide.`
  const facts = { outcome: 'definite' as const, retryable: isPassing }
  return new VarveError('EXPECTATION_FAILED', message, { topic, partition, expected, actual }, facts)
}

function placeOf(offset: number | null): string {
  return offset === null ? 'none' : `at offset ${offset}`
}
