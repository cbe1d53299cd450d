/**
 * Arithmetic of producer sequences: 31 bits, 0 follows the largest.
 */

/** Sequences wrap from here to 0. */
export const MAX_SEQUENCE = 0x7fff_ffff

/** Stands for none. */
const NONE = -1

/** The sequence `count` after `sequence`; 0 follows the largest. */
export function addSequence(sequence: number, count: number): number {
  return sequence > MAX_SEQUENCE - count ? count - (MAX_SEQUENCE - sequence) - 1 : sequence + count
}

/** The sequence `count` before `sequence`; the largest comes before 0. */
export function subtractSequence(sequence: number, count: number): number {
  return sequence < count ? MAX_SEQUENCE - (count - sequence) + 1 : sequence - count
}

/** The sequence of a batch's last record; -1 when it has none. */
export function lastSequence(baseSequence: number, lastOffsetDelta: number): number {
  return baseSequence === NONE ? NONE : addSequence(baseSequence, lastOffsetDelta)
}
