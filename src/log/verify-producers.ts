/**
 * Checking what files say of producers and aborted transactions against the batches of their log.
 *
 * Owns     the producers as the batches tell them, segment by segment in order.
 * Holds    Reads only. Of what lies behind damage nothing is said until a sidecar tells the producers again. Producers
 *          that were forgotten in time may be missing from a file; one that is there must be as the batches have it.
 *          The batches of a cleaned segment tell less than what was there: they must not tell more than its sidecar.
 */
import { readProducerSnapshot } from '../metadata/producer-snapshot.ts'
import type { ProducerState } from '../metadata/producer-state.ts'
import type { Producer } from '../metadata/producer-table.ts'
import type { AbortedTransaction } from '../index/transaction-index.ts'
import type { BatchScan } from '../segment/batch-scan.ts'
import { producedBy } from '../segment/produced.ts'
import { segmentFile } from '../segment/segment-files.ts'
import type { Segment } from '../segment/segment.ts'
import type { Sidecar } from '../segment/sidecar.ts'
import type { PartitionLog } from './log.ts'
import { producersBefore, readSnapshot, sealedProducers } from './stored-producers.ts'
import type { Complaint, VerifyHost } from './verify-host.ts'

type Tell = (complaint: Complaint) => void

export class ProducerCheck {
  readonly #host: VerifyHost
  readonly #log: PartitionLog
  /** Undefined: not known. */
  #producers: ProducerState | undefined
  /** What the markers of the segment have aborted. */
  #aborted: AbortedTransaction[] = []
  /** Those of them of which a batch was met. */
  #met: AbortedTransaction[] = []
  /** Producers of whose transaction under way a batch was met. */
  readonly #inTransaction = new Set<number>()

  constructor(host: VerifyHost, log: PartitionLog) {
    this.#host = host
    this.#log = log
    const first = log.view.segments[0]!
    const isKnown =
      first.baseOffset === 0 || readSnapshot(host.filesOf(log), log.directory, first.baseOffset) !== undefined
    this.#producers = isKnown ? producersBefore(host.filesOf(log), first) : undefined
  }

  /** A segment begins: the snapshot there is that of all before it. */
  begin(segment: Segment, tell: Tell): void {
    this.#aborted = []
    this.#met = []
    if (this.#producers === undefined) return
    const { directory, baseOffset } = segment
    const bytes = readSnapshot(this.#host.filesOf(this.#log), directory, baseOffset)
    if (bytes !== undefined) this.#compare(bytes, segmentFile(directory, baseOffset, 'snapshot'), baseOffset, tell)
  }

  batch(batch: BatchScan, bytes: Uint8Array, view: DataView): void {
    if (this.#producers === undefined) return
    const produced = producedBy(batch, bytes, view)
    if (produced === undefined) return
    this.#producers.replay(produced)
    const { producerId, isTransactional, marker, aborted } = produced
    if (marker === undefined && isTransactional) this.#inTransaction.add(producerId)
    const isMet = marker !== undefined && this.#inTransaction.delete(producerId)
    if (aborted === undefined) return
    this.#aborted.push(aborted)
    if (isMet) this.#met.push(aborted)
  }

  /** What comes next was damaged. */
  lose(): void {
    this.#producers = undefined
  }

  /** A sealed segment ends, with all its batches. */
  end(segment: Segment, sidecar: Sidecar, tell: Tell): void {
    if (this.#producers !== undefined) {
      const path = segmentFile(segment.directory, segment.baseOffset, 'varve')
      if (sidecar.summary.cleanedUpTo === null) this.#endWhole(segment, sidecar, path, tell)
      else this.#endCleaned(segment, sidecar, path, tell)
    }
    this.#producers = sealedProducers(sidecar)
  }

  get #mayForget(): boolean {
    return this.#log.config.producerExpirationMs !== -1
  }

  #endWhole(segment: Segment, sidecar: Sidecar, path: string, tell: Tell): void {
    this.#compareAborted(sidecar.aborted.entries, path, segment, tell)
    const state = sidecar.producerState
    const isNone = state === undefined && !this.#mayForget && this.#producers!.size > 0
    if (isNone) tell({ path, what: 'knows of no producer, and its log has some', offset: segment.baseOffset })
    if (state !== undefined) this.#compare(state, path, segment.nextOffset, tell)
  }

  /** Whose batches are left, and which markers abort some of them, the sidecar knows. */
  #endCleaned({ baseOffset: offset }: Segment, sidecar: Sidecar, path: string, tell: Tell): void {
    const { entries } = sidecar.aborted
    for (const { producerId, lastOffset } of this.#met) {
      if (entries.some((entry) => entry.producerId === producerId && entry.lastOffset === lastOffset)) continue
      tell({ path, what: `does not know that producer ${producerId} aborted a transaction at ${lastOffset}`, offset })
    }
    const known = sealedProducers(sidecar)
    for (const producer of this.#producers!.producers()) {
      const { id } = producer
      const stored = known.get(id)
      const isKnown = stored === undefined ? this.#mayForget : isAsNew(stored, producer)
      if (!isKnown) tell({ path, what: `does not know the newest batch of producer ${id}`, offset })
    }
  }

  #compareAborted(found: readonly AbortedTransaction[], path: string, segment: Segment, tell: Tell): void {
    if (found.map(lineOf).join() === this.#aborted.map(lineOf).join()) return
    const what = `tells of ${found.length} aborted transactions, and its log of ${this.#aborted.length}, or of others`
    tell({ path, what, offset: segment.baseOffset })
  }

  #compare(snapshot: Uint8Array, path: string, offset: number, tell: Tell): void {
    const known = this.#producers!
    let count = 0
    readProducerSnapshot(snapshot, (producer) => {
      count++
      const told = known.get(producer.id)
      if (told === undefined || isSame(told, producer)) return
      tell({ path, what: `tells of producer ${producer.id} what its log does not`, offset })
    })
    if (count === known.size || (count < known.size && this.#mayForget)) return
    tell({ path, what: `knows ${count} producers, and its log ${known.size}`, offset })
  }
}

/** A producer of a newer epoch does not know its older batches any more. */
function isAsNew(stored: Producer, other: Producer): boolean {
  if (stored.epoch !== other.epoch) return stored.epoch > other.epoch
  return (stored.batches.at(-1)?.lastOffset ?? -1) >= (other.batches.at(-1)?.lastOffset ?? -1)
}

function lineOf(transaction: AbortedTransaction): string {
  const { producerId, firstOffset, lastOffset, lastStableOffset } = transaction
  return `${producerId} ${firstOffset} ${lastOffset} ${lastStableOffset}`
}

/** A snapshot has the newest batch only. */
function isSame(a: Producer, b: Producer): boolean {
  const facts = ({ epoch, coordinatorEpoch, lastTimestamp, transactionFirst, batches }: Producer): string => {
    const newest = batches.at(-1)
    const batch = [newest?.lastSequence, newest?.lastOffset, newest?.offsetDelta]
    return [epoch, coordinatorEpoch, lastTimestamp, transactionFirst, ...batch].join()
  }
  return facts(a) === facts(b)
}
