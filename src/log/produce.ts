/**
 * Batches of producers, and the markers that end their transactions.
 *
 * Owns     what a log answers to them: taken, stored before, or refused and why.
 * Holds    The rules are those of `producer-state.ts`. Nothing is appended where one is broken. E5: a batch that was
 *          stored before is answered when the first one is as durable as the repeat asks. A marker is a batch of its
 *          own and takes one offset.
 * Shared   synchronous; the offset is given in the order of the calls.
 * @hot
 */
import { allocate } from '../base/arena.ts'
import { VarveError } from '../base/errors.ts'
import { addSequence, lastSequence } from '../base/sequence.ts'
import type { EndMarker, ProducedBatch, Verdict } from '../metadata/producer-state.ts'
import { NONE } from '../segment/batch-format.ts'
import { MARKER_BYTES, writeMarker } from '../segment/control-record.ts'
import { addWaiter, checkAppend, enqueueBatch, startWaiting } from './append.ts'
import type { AppendHost, BatchBuild, BatchProducer, RecordDraft } from './append.ts'
import { FormBuffer } from './forming.ts'
import type { Waiter } from './forming.ts'
import type { PartitionLog } from './log.ts'

/** Where a batch is. */
export interface Produced {
  readonly firstOffset: number
  /** It was stored before and is not stored again. */
  readonly isDuplicate: boolean
}

/** A transaction's end for one log. */
export interface SentMarker extends EndMarker {
  readonly producerId: number
  readonly producerEpoch: number
  /** When it is decided, ms since 1970. */
  readonly timestamp: number
}

/** Adds a record to a batch of its producer. Throws INVALID_RECORD for one of another producer, or of none. */
export function addProduced(host: AppendHost, build: BatchBuild, draft: RecordDraft, producer: BatchProducer): void {
  const { producer: owner, log } = build
  if (!isOf(owner, producer)) throw mixed(log, 'A batch holds records of one producer, all of one kind')
  build.add(host, draft)
}

/**
 * Takes a batch that was built for a producer; the caller waits with `addWaiter`, or with `awaitStored` for one that
 * was stored before. Throws PRODUCER_FENCED, OUT_OF_ORDER_SEQUENCE, INVALID_RECORD, and what `checkAppend` throws.
 */
export function produceBatch(host: AppendHost, build: BatchBuild, disk: boolean): Produced {
  const { log, records } = build
  const sent = build.producer!
  const last = lastSequence(sent.baseSequence, records - 1)
  try {
    const verdict = log.producers.check(sent, last)
    if (typeof verdict === 'object') {
      build.release()
      return { firstOffset: verdict.lastOffset - verdict.offsetDelta, isDuplicate: true }
    }
    if (verdict !== 'ok') throw refused(log, sent, verdict)
    const buffer = build.finish()
    checkAppend(host, log, buffer.end)
    const firstOffset = log.logEnd
    const batch = producedBatch(sent, last, firstOffset, records, buffer.batches[0]!.maxTimestamp)
    log.producers.append(batch)
    enqueueBatch(host, log, buffer, records, disk, batch, build.keys)
    return { firstOffset, isDuplicate: false }
  } catch (error) {
    build.release()
    throw error
  }
}

/** Appends a marker; answers its offset. Throws PRODUCER_FENCED, and what `checkAppend` throws. */
export function appendMarker(host: AppendHost, log: PartitionLog, sent: SentMarker, disk: boolean): number {
  const { producerId, producerEpoch, coordinatorEpoch, commit, timestamp } = sent
  if (log.producers.checkMarker(producerId, producerEpoch, coordinatorEpoch) === 'fenced') {
    throw fenced(log, producerId, `The marker of epoch ${producerEpoch}, coordinator ${coordinatorEpoch},`)
  }
  checkAppend(host, log, MARKER_BYTES)
  const offset = log.logEnd
  const buffer = markerBuffer({ ...sent, baseOffset: offset, leaderEpoch: host.epoch })
  const batch: ProducedBatch = {
    producerId,
    producerEpoch,
    lastSequence: NONE,
    baseOffset: offset,
    lastOffset: offset,
    timestamp,
    isTransactional: true,
    marker: { commit, coordinatorEpoch },
    aborted: undefined,
  }
  log.producers.append(batch)
  log.keys?.ended(producerId, offset, !commit)
  return enqueueBatch(host, log, buffer, 1, disk, batch)
}

/** `waiter` is told when everything below its end is there, at `disk` durably. It may be told at once. */
export function awaitStored(host: AppendHost, log: PartitionLog, waiter: Waiter, disk: boolean): void {
  const isShown = log.highWatermark >= waiter.end
  if (isShown && log.durable.nextOffset >= waiter.end) return waiter.done('disk')
  if (isShown && !disk) return waiter.done('os')
  startWaiting(host, log, disk)
  addWaiter(host, log, waiter)
}

function isOf(owner: BatchProducer | undefined, producer: BatchProducer): boolean {
  return (
    owner === producer ||
    (owner?.producerId === producer.producerId &&
      owner.producerEpoch === producer.producerEpoch &&
      owner.isTransactional === producer.isTransactional)
  )
}

function producedBatch(
  sent: BatchProducer,
  last: number,
  baseOffset: number,
  records: number,
  timestamp: number,
): ProducedBatch {
  return {
    producerId: sent.producerId,
    producerEpoch: sent.producerEpoch,
    lastSequence: last,
    baseOffset,
    lastOffset: baseOffset + records - 1,
    timestamp,
    isTransactional: sent.isTransactional,
    marker: undefined,
    aborted: undefined,
  }
}

function markerBuffer(marker: Parameters<typeof writeMarker>[2]): FormBuffer {
  const { baseOffset, timestamp: maxTimestamp } = marker
  const buffer = new FormBuffer(allocate(MARKER_BYTES))
  const end = writeMarker(buffer.slab, 0, marker)
  buffer.batches.push({
    start: 0,
    end,
    baseOffset,
    lastOffset: baseOffset,
    maxTimestamp,
    count: 1,
    produced: undefined,
  })
  buffer.end = end
  return buffer
}

function refused(log: PartitionLog, sent: BatchProducer, verdict: Verdict): VarveError {
  const { producerId, producerEpoch } = sent
  if (verdict === 'fenced') return fenced(log, producerId, `Its batch of epoch ${producerEpoch}`)
  if (verdict === 'gap') return outOfOrder(log, sent)
  return mixed(log, `Producer ${producerId} has an open transaction: a batch outside of it`)
}

function fenced(log: PartitionLog, producerId: number, what: string): VarveError<'PRODUCER_FENCED'> {
  const known = log.producers.get(producerId)!
  const { topic, partition } = log
  const message =
    `${what} was refused by ${topic}/${partition}, which knows producer ${producerId} with epoch ${known.epoch}, ` +
    `coordinator ${known.coordinatorEpoch}. Nothing was written; a newer instance has taken over.`
  return new VarveError('PRODUCER_FENCED', message, { id: String(producerId) }, { outcome: 'definite' })
}

function outOfOrder(log: PartitionLog, sent: BatchProducer): VarveError<'OUT_OF_ORDER_SEQUENCE'> {
  const { topic, partition } = log
  const known = log.producers.get(sent.producerId)!
  const last = known.epoch === sent.producerEpoch ? (known.batches.at(-1)?.lastSequence ?? NONE) : NONE
  const next = last === NONE ? 0 : addSequence(last, 1)
  const message =
    `Producer ${sent.producerId} sent ${topic}/${partition} sequence ${sent.baseSequence}, and ${next} comes ` +
    'next. Nothing was written; send what is missing first.'
  const details = { topic, partition, id: String(sent.producerId), sequence: sent.baseSequence, lastSequence: last }
  return new VarveError('OUT_OF_ORDER_SEQUENCE', message, details, { outcome: 'definite' })
}

function mixed(log: PartitionLog, what: string): VarveError<'INVALID_RECORD'> {
  const { topic, partition } = log
  const message = `${what}: refused by ${topic}/${partition}. Nothing was written.`
  return new VarveError('INVALID_RECORD', message, { topic, index: 0, issues: [] }, { outcome: 'definite' })
}
