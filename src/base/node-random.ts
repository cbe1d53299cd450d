/**
 * Real chance, from the operating system.
 *
 * Owns     nothing. Fractions spread retries and need no secrecy; bytes become keys and nonces and have it.
 */
import { randomFillSync } from 'node:crypto'
import type { Random } from './random.ts'

/** The machine's source of chance. */
export function nodeRandom(): Random {
  return {
    '~varve': 'random',
    bytes: (length) => randomFillSync(new Uint8Array(length)),
    fraction: () => Math.random(),
  }
}
