/**
 * Appending to one log: the checks, the offset, the place in the forming group.
 *
 * Owns     what makes a record one that this log takes, and which batch it enters.
 * Holds    Everything that can be refused is refused before anything changes. From here on the record is the log's:
 *          it cannot be aborted any more. The caller waits through its `Waiter`.
 * Shared   synchronous; the offset is given in the order of the calls.
 * @hot
 */
import { VarveError } from '../base/errors.ts'
import type { Clock } from '../base/clock.ts'
import { invariant } from '../base/invariant.ts'
import type { KeyHasher } from '../base/siphash.ts'
import { compressBatch, maxRecordSize, PLAIN_BATCH } from '../segment/batch-builder.ts'
import type { BatchFacts } from '../segment/batch-builder.ts'
import { CODECS, NONE, patchBatchPlace, RECORDS, TRANSACTIONAL } from '../segment/batch-format.ts'
import { requireCodec } from '../segment/compression.ts'
import { NO_HEADERS } from '../segment/headers.ts'
import type { ProducedBatch, SentBatch } from '../metadata/producer-state.ts'
import type { ResolvedTopicConfig } from '../metadata/topic-config.ts'
import { BatchKeys } from './batch-keys.ts'
import type { Committer } from './commit.ts'
import { type FormBuffer, Forming } from './forming.ts'
import type { Compress, Waiter } from './forming.ts'
import type { PartitionLog } from './log.ts'

/** An encoded record, reused from one append to the next. The byte arrays are borrowed for the call only. */
export class RecordDraft {
  timestamp = 0
  key: Uint8Array | null = null
  keyStart = 0
  keyEnd = 0
  value: Uint8Array | null = null
  valueStart = 0
  valueEnd = 0
  /** The encoded list of headers in `headers[0, headersEnd)`. */
  headers: Uint8Array = NO_HEADERS
  headersEnd = 0
  headerCount = 0
  /** The key lies in a scratch that may move while the value is encoded. */
  keyInScratch = false

  /** What the record takes at most in a batch. */
  get maxBytes(): number {
    return maxRecordSize(this.keyEnd - this.keyStart, this.valueEnd - this.valueStart, this.headersEnd)
  }
}

/** Who sends a batch, and as what. */
export type BatchProducer = SentBatch

/** One whole batch that is built apart from its log, where it may still be refused; its offsets come later. */
export class BatchBuild {
  readonly log: PartitionLog
  readonly producer: BatchProducer | undefined
  /** Of a log with a key map. */
  readonly keys: BatchKeys | undefined
  records = 0
  readonly #forming: Forming

  constructor(log: PartitionLog, producer?: BatchProducer) {
    checkCodec(log.config)
    this.log = log
    this.producer = producer
    this.keys = log.config.keyMap ? new BatchKeys() : undefined
    this.#forming = new Forming(compressionOf(log.config))
  }

  /** Adds a record; the time that it carries stands in the draft then. */
  add(host: AppendHost, draft: RecordDraft): void {
    const recordBytes = draft.maxBytes
    if (this.records === 0) {
      const facts = factsFor(host, this.log, draft)
      this.#forming.begin(0, this.producer === undefined ? facts : producerFacts(facts, this.producer), recordBytes)
    }
    const bytes = enter(this.#forming, draft, recordBytes)
    if (this.keys !== undefined && hashKey(host, draft))
      this.keys.add(host.keyHasher, this.records, bytes, draft.value === null)
    this.records++
  }

  /** The batch, checksummed. Throws RECORD_TOO_LARGE, and gives its memory back. */
  finish(): FormBuffer {
    this.#forming.finish()
    const buffer = this.#forming.buffers[0]!
    const { maxMessageBytes } = this.log.config
    if (buffer.end <= maxMessageBytes) return buffer
    this.release()
    throw tooLarge(this.log.topic, buffer.end, maxMessageBytes)
  }

  release(): void {
    this.#forming.finish()
    this.#forming.release()
  }
}

export interface AppendHost {
  readonly clock: Clock
  readonly committer: Committer
  readonly epoch: number
  /** Facts of batches without a producer. */
  readonly plainBatch: BatchFacts
  readonly maxQueuedBytes: number
  readonly keyHasher: KeyHasher
  /** Set while a fenced, failed or closing store takes no appends. */
  readonly refusal: VarveError | undefined
}

/** Lets a large group at `os` go first; throws unless `log` takes `bytes` more now. */
export function checkAppend(host: AppendHost, log: PartitionLog, bytes: number): void {
  host.committer.startLarge(log)
  const refusal = log.ended ?? host.committer.failure ?? host.refusal
  if (refusal !== undefined) throw refusal
  const queuedBytes = host.committer.queuedBytes + bytes
  if (queuedBytes > host.maxQueuedBytes && host.committer.queuedBytes > 0) throw queueFull(host, queuedBytes)
  if (host.committer.isFull) throw noRoom(log)
}

/** Throws RECORD_TOO_LARGE for a record that no batch can take as it is. */
export function checkRecordSize(log: PartitionLog, recordBytes: number): void {
  const bytes = RECORDS + recordBytes
  const maxBytes = log.config.maxMessageBytes
  if (bytes > maxBytes && log.config.compressionType === 'none') throw tooLarge(log.topic, bytes, maxBytes)
}

/** Takes a record; answers its offset. `waiter.end` is set by the caller to that offset + 1. */
export function appendRecord(host: AppendHost, log: PartitionLog, draft: RecordDraft, disk: boolean): number {
  const { config } = log
  const recordBytes = draft.maxBytes
  if (RECORDS + recordBytes > config.maxMessageBytes) {
    const build = new BatchBuild(log)
    build.add(host, draft)
    return enqueueBatch(host, log, build.finish(), 1, disk, undefined, build.keys)
  }
  checkCodec(config)
  const forming = formingOf(log, disk)
  const open = forming.openSize()
  if (open > 0 && open + recordBytes > Math.min(config.batchBytes, config.maxMessageBytes)) forming.finish()
  if (forming.openSize() === 0) forming.begin(log.logEnd, factsFor(host, log, draft), recordBytes)
  const bytes = enter(forming, draft, recordBytes)
  if (log.keys !== undefined && hashKey(host, draft))
    log.keys.appended(host.keyHasher, log.logEnd, bytes, draft.value === null, NONE)
  host.committer.enqueued(log, recordBytes)
  return log.logEnd++
}

/** Takes a batch that was built apart; answers its first offset. */
export function enqueueBatch(
  host: AppendHost,
  log: PartitionLog,
  buffer: FormBuffer,
  records: number,
  disk: boolean,
  produced?: ProducedBatch,
  keys?: BatchKeys,
): number {
  invariant(log.keys === undefined || keys !== undefined || produced?.marker !== undefined, 'a batch with its keys')
  const forming = formingOf(log, disk)
  const baseOffset = log.logEnd
  const built = buffer.batches[0]!
  patchBatchPlace(buffer.slab.view, built.start, baseOffset, host.epoch)
  buffer.batches[0] = { ...built, baseOffset, lastOffset: baseOffset + records - 1, produced }
  forming.adopt(buffer, records)
  if (log.keys !== undefined)
    keys?.appendTo(log.keys, baseOffset, produced?.isTransactional ? produced.producerId : NONE)
  host.committer.enqueued(log, buffer.end)
  log.logEnd += records
  return baseOffset
}

/** The caller waits with the group that its records are in. */
export function addWaiter(host: AppendHost, log: PartitionLog, waiter: Waiter): void {
  log.forming!.waiters.push(waiter)
  host.committer.waiterAdded(log)
}

/** Makes the next group of `log` one that a waiter can join although it appends nothing. */
export function startWaiting(host: AppendHost, log: PartitionLog, disk: boolean): void {
  formingOf(log, disk)
  host.committer.enqueued(log, 0)
}

function formingOf(log: PartitionLog, disk: boolean): Forming {
  const forming = (log.forming ??= new Forming(compressionOf(log.config)))
  // J4: behind a pending `disk` append an `os` one waits, so it may as well be durable with it.
  if (disk || log.entriesInFlight > 0 || log.writing === 'disk') forming.disk = true
  return forming
}

function factsFor(host: AppendHost, log: PartitionLog, draft: RecordDraft): BatchFacts {
  if (log.config.messageTimestampType === 'CreateTime') return host.plainBatch
  return { ...host.plainBatch, logAppendTime: draft.timestamp }
}

function producerFacts(facts: BatchFacts, producer: BatchProducer): BatchFacts {
  const { producerId, producerEpoch, baseSequence, isTransactional } = producer
  const { leaderEpoch, logAppendTime } = facts
  const attributes = isTransactional ? facts.attributes | TRANSACTIONAL : facts.attributes
  return { leaderEpoch, producerId, producerEpoch, baseSequence, attributes, logAppendTime }
}

/** Answers the record's size. */
function enter(forming: Forming, draft: RecordDraft, recordBytes: number): number {
  const before = forming.openSize()
  if (forming.appendTime !== -1) draft.timestamp = forming.appendTime
  const { timestamp, key, keyStart, keyEnd, value, valueStart, valueEnd, headers, headersEnd, headerCount } = draft
  forming.append(
    recordBytes,
    timestamp,
    key,
    keyStart,
    keyEnd,
    value,
    valueStart,
    valueEnd,
    headers,
    headersEnd,
    headerCount,
  )
  return forming.openSize() - before
}

/** The host's hasher has the identity of the record's key then; false: it has no key. */
function hashKey(host: AppendHost, { key, keyStart, keyEnd }: RecordDraft): boolean {
  if (key === null) return false
  host.keyHasher.hash(key, keyStart, keyEnd)
  return true
}

/** Throws UNSUPPORTED when the topic's codec needs a package that is not there any more. Markers do without. */
function checkCodec(config: ResolvedTopicConfig): void {
  if (config.compressionType !== 'none') requireCodec(CODECS[config.compressionType])
}

function compressionOf(config: ResolvedTopicConfig): Compress | undefined {
  const codec = config.compressionType
  if (codec === 'none') return undefined
  const level = {
    gzip: config.compressionGzipLevel,
    zstd: config.compressionZstdLevel,
    lz4: config.compressionLz4Level,
    snappy: undefined,
  }[codec]
  return (plain) => compressBatch(plain, CODECS[codec], level)
}

/** What the batches of a writer with this epoch say of themselves. */
export function plainBatch(leaderEpoch: number): BatchFacts {
  return { ...PLAIN_BATCH, leaderEpoch }
}

function queueFull(host: AppendHost, queuedBytes: number): VarveError {
  const { maxQueuedBytes } = host
  return new VarveError(
    'QUEUE_FULL',
    `${queuedBytes} bytes of appends would wait, and maxQueuedBytes is ${maxQueuedBytes}. ` +
      'Await earlier appends first, or use a writer.',
    { queuedBytes, maxQueuedBytes },
    { outcome: 'definite' },
  )
}

function noRoom(log: PartitionLog): VarveError {
  const message = `${log.topic}/${log.partition}: the disk is full. Free space and append again; nothing is lost.`
  return new VarveError('DISK_FULL', message, { directory: log.directory }, { outcome: 'definite' })
}

export function tooLarge(topic: string, bytes: number, maxBytes: number): VarveError {
  return new VarveError(
    'RECORD_TOO_LARGE',
    `The batch for ${topic} would take ${bytes} bytes, and maxMessageBytes of the topic is ${maxBytes}. ` +
      'Nothing was written.',
    { topic, bytes, maxBytes },
    { outcome: 'definite' },
  )
}
