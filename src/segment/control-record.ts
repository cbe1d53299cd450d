/**
 * Control records: the markers that end a transaction.
 *
 *   key    0     2      4          value    0     2                   6
 *          +-----+------+                   +-----+-------------------+
 *          | 0   | type |   1 commit,       | 0   | coordinator epoch |
 *          +-----+------+   0 abort         +-----+-------------------+
 *
 * Owns     their bytes. A marker is a batch of its own: 78 bytes, one offset, never compressed.
 * Holds    Types that Kafka uses elsewhere are legal and mean nothing here; newer versions are read as version 0.
 */
import { BatchBuilder, PLAIN_BATCH, type BatchBuffer } from './batch-builder.ts'
import { BatchDamage, CONTROL, NONE, TRANSACTIONAL } from './batch-format.ts'
import { NO_HEADERS } from './headers.ts'
import type { RecordCursor } from './record-cursor.ts'

const KEY_TYPE = 2
const KEY_BYTES: number = KEY_TYPE + 2
const VALUE_EPOCH = 2
const VALUE_BYTES: number = VALUE_EPOCH + 4
const ABORT = 0
const COMMIT = 1

/** Size of a marker's batch. */
export const MARKER_BYTES = 78

/** What a marker says. */
export interface Marker {
  readonly baseOffset: number
  readonly leaderEpoch: number
  readonly timestamp: number
  readonly producerId: number
  readonly producerEpoch: number
  readonly coordinatorEpoch: number
  readonly commit: boolean
}

const builder = new BatchBuilder()
const key = new Uint8Array(KEY_BYTES)
const value = new Uint8Array(VALUE_BYTES)
const keyView = new DataView(key.buffer)
const valueView = new DataView(value.buffer)

/** Writes a marker at `position`; answers its size. */
export function writeMarker(buffer: BatchBuffer, position: number, marker: Marker): number {
  keyView.setInt16(KEY_TYPE, marker.commit ? COMMIT : ABORT)
  valueView.setInt32(VALUE_EPOCH, marker.coordinatorEpoch)
  builder.begin(buffer, position, marker.baseOffset, {
    ...PLAIN_BATCH,
    leaderEpoch: marker.leaderEpoch,
    producerId: marker.producerId,
    producerEpoch: marker.producerEpoch,
    attributes: TRANSACTIONAL | CONTROL,
  })
  builder.append(marker.timestamp, key, 0, KEY_BYTES, value, 0, VALUE_BYTES, NO_HEADERS, 0, 0, 0)
  return builder.finish()
}

/** What a control record means, and under which coordinator epoch (-1 where it is no marker). */
export interface ControlRecord {
  readonly kind: 'commit' | 'abort' | 'other'
  readonly coordinatorEpoch: number
}

const OTHER: ControlRecord = Object.freeze({ kind: 'other', coordinatorEpoch: NONE })

/** Reads the control record that `cursor` stands on. Throws `BatchDamage`. */
export function readControlRecord(cursor: RecordCursor): ControlRecord {
  const { view, keyStart, keyEnd, valueStart, valueEnd } = cursor
  if (keyStart === -1 || keyEnd - keyStart < KEY_BYTES)
    throw new BatchDamage('the key of a control record is too short')
  if (view.getInt16(keyStart) < 0) throw new BatchDamage('the key of a control record has a negative version')
  const type = view.getInt16(keyStart + KEY_TYPE)
  if (type !== COMMIT && type !== ABORT) return OTHER
  if (valueStart === -1 || valueEnd - valueStart < VALUE_BYTES) {
    throw new BatchDamage('the value of a marker is too short')
  }
  if (view.getInt16(valueStart) < 0) throw new BatchDamage('the value of a marker has a negative version')
  return { kind: type === COMMIT ? 'commit' : 'abort', coordinatorEpoch: view.getInt32(valueStart + VALUE_EPOCH) }
}
