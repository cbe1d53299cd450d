/**
 * What a stored batch says of its producer.
 *
 * Holds    The batch was verified. A control record that ends no transaction or makes no sense, and a control batch
 *          whose record was cleaned away, say nothing.
 * Shared   one cursor for all: the result is of no further use to it.
 */
import { lastSequence } from '../base/sequence.ts'
import type { EndMarker, ProducedBatch } from '../metadata/producer-state.ts'
import { BatchDamage, NONE } from './batch-format.ts'
import type { BatchScan } from './batch-scan.ts'
import { readControlRecord } from './control-record.ts'
import { RecordCursor } from './record-cursor.ts'

const cursor = new RecordCursor()

/** Of the batch that `batch` stands on; undefined: it is nobody's. */
export function producedBy(batch: BatchScan, bytes: Uint8Array, view: DataView): ProducedBatch | undefined {
  if (batch.producerId === NONE) return undefined
  const marker = batch.isControl ? markerIn(batch, bytes, view) : undefined
  if (batch.isControl && marker === undefined) return undefined
  const { producerId, producerEpoch, baseSequence, baseOffset, lastOffset, isTransactional } = batch
  return {
    producerId,
    producerEpoch,
    lastSequence: lastSequence(baseSequence, lastOffset - baseOffset),
    baseOffset,
    lastOffset,
    timestamp: batch.maxTimestamp,
    isTransactional,
    marker,
    aborted: undefined,
  }
}

function markerIn(batch: BatchScan, bytes: Uint8Array, view: DataView): EndMarker | undefined {
  try {
    cursor.open(bytes, view, batch.position)
    if (!cursor.next()) return undefined
    const { kind, coordinatorEpoch } = readControlRecord(cursor)
    return kind === 'other' ? undefined : { commit: kind === 'commit', coordinatorEpoch }
  } catch (error) {
    if (error instanceof BatchDamage) return undefined
    throw error
  }
}
