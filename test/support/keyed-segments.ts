/**
 * Segments of many small records with keys, whose seal takes a while.
 */
import type { RawTopic } from '../../src/varve.ts'

const RECORDS_AT_ONCE = 1000
/** Four of these and what Kafka's format adds to them are more than 1 MiB. */
const VALUE = new Uint8Array(256).fill(120)

/** Appends until so many segments of 4 MiB are full. */
export async function fillSegments(topic: RawTopic, segments: number): Promise<void> {
  for (let batch = 0; batch < segments * 16; batch++) {
    const from = batch * RECORDS_AT_ONCE
    const keys = Array.from({ length: RECORDS_AT_ONCE }, (_, i) => Buffer.from(`key ${(from + i) % 7000}`))
    await topic.appendMany(keys.map((key, i) => ({ key, value: VALUE, timestamp: from + i })))
  }
}
