/**
 * What becomes of a record that does not decode, while one iterates.
 */
import type { LogRecord } from './base/api-records.ts'
import { VarveError } from './base/errors.ts'
import type { ResolvedReadOptions } from './base/read-options.ts'
import type { StoredBatch } from './topic-batch.ts'

/** The record at `index`; undefined: it does not decode, and is dropped. */
export function recordUnlessSkipped<K, V, N extends string>(
  batch: StoredBatch<K, V, N>,
  index: number,
  onUndecodable: ResolvedReadOptions['onUndecodable'],
): LogRecord<K, V, N> | undefined {
  try {
    return batch.recordAt(index)
  } catch (error) {
    if (onUndecodable === 'throw' || !VarveError.is(error, 'UNDECODABLE')) throw error
    if (onUndecodable !== 'skip') onUndecodable(rawRecord(batch, index), error)
    return undefined
  }
}

function rawRecord<K, V, N extends string>(
  batch: StoredBatch<K, V, N>,
  index: number,
): LogRecord<Uint8Array<ArrayBuffer> | null, Uint8Array<ArrayBuffer>> {
  return {
    topic: batch.topic,
    partition: batch.partition,
    offset: batch.offsets[index]!,
    timestamp: batch.timestamps[index]!,
    key: ownBytes(batch.keyBytes(index)),
    value: ownBytes(batch.valueBytes(index)),
    headers: batch.headersAt(index),
  }
}

function ownBytes(bytes: Uint8Array | null): Uint8Array<ArrayBuffer> | null {
  return bytes === null ? null : Uint8Array.from(bytes)
}
