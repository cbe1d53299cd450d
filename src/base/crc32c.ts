/**
 * CRC-32C (Castagnoli), the checksum of Kafka's record batches.
 *
 * Owns     the choice between bytes that lie in the arena (no copy) and others (through the scratch, in pieces).
 * Holds    reflected polynomial 0x82f63b78, register and result inverted; of '123456789' it is e3069283.
 * @hot
 */
import { arenaBytes, arenaMemory, SCRATCH, SCRATCH_BYTES } from './arena.ts'
import { hashRoutines } from './hash-module.ts'
import { invariant } from './invariant.ts'

/** Below this a loop copies faster than `set` over a subarray. */
const SHORT = 48

const { crc32c: run } = hashRoutines

/** The CRC-32C of `bytes` from `start` to `end`, unsigned. */
export function crc32c(bytes: Uint8Array, start: number, end: number): number {
  return continueCrc32c(0, bytes, start, end)
}

/** The CRC-32C of bytes whose first part has the CRC-32C `crc`. */
export function continueCrc32c(crc: number, bytes: Uint8Array, start: number, end: number): number {
  invariant(start >= 0 && start <= end && end <= bytes.length, 'a range within the bytes')
  if (bytes.buffer === arenaMemory.buffer) return run(crc, bytes.byteOffset + start, bytes.byteOffset + end) >>> 0
  if (end - start <= SHORT) return copyShort(crc, bytes, start, end)
  for (let position = start; position < end; position += SCRATCH_BYTES) {
    const stop = Math.min(position + SCRATCH_BYTES, end)
    arenaBytes.set(bytes.subarray(position, stop), SCRATCH)
    crc = run(crc, SCRATCH, SCRATCH + stop - position)
  }
  return crc >>> 0
}

function copyShort(crc: number, bytes: Uint8Array, start: number, end: number): number {
  let to = SCRATCH
  for (let from = start; from < end; from++) arenaBytes[to++] = bytes[from]!
  return run(crc, SCRATCH, to) >>> 0
}
