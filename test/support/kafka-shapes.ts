/**
 * Records of every shape that the format tells apart, the same at every run.
 *
 * Holds    Null, empty and filled keys and values are three things each; header names repeat, are empty, are not
 *          ASCII; header values are null; timestamps rise, repeat and fall; sizes cross the one, two and three byte
 *          varints; values compress well and not at all.
 */
import { createHash } from 'node:crypto'
import type { PlainRecord } from './kafka-record.ts'

type Headers = PlainRecord['headers']

const START_MS = 1_700_000_000_000

/** `count` records; those of another `seed` differ. A key is never null when `keyed`. */
export function shapedRecords(seed: number, count: number, keyed: boolean = false): PlainRecord[] {
  return Array.from({ length: count }, (_, i) => ({
    timestamp: START_MS + timestampStep(seed + i, i),
    key: keyOf(seed, i, keyed),
    value: valueOf(seed, i),
    headers: headersOf(seed, i),
  }))
}

/** Bytes that no codec makes smaller. */
export function noise(seed: string, size: number): Uint8Array {
  const blocks: Buffer[] = []
  for (let i = 0; i * 64 < size; i++) blocks.push(createHash('sha512').update(`${seed}/${i}`).digest())
  return Buffer.concat(blocks).subarray(0, size)
}

function timestampStep(shape: number, i: number): number {
  switch (shape % 5) {
    case 0:
      return i
    case 1:
      return i * 1000
    case 2:
      return 0
    case 3:
      return -i * 86_400_000
    default:
      return i * 7 + 3_000_000_000
  }
}

function keyOf(seed: number, i: number, keyed: boolean): Uint8Array | null {
  switch ((seed + i) % 4) {
    case 0:
      return keyed ? text(`key-${i % 17}`) : null
    case 1:
      return new Uint8Array(0)
    case 2:
      return text(`key-${i % 17}`)
    default:
      return noise(`key ${seed} ${i}`, 1 + (i % 200))
  }
}

function valueOf(seed: number, i: number): Uint8Array | null {
  switch ((seed + i) % 7) {
    case 0:
      return null
    case 1:
      return new Uint8Array(0)
    case 2:
      return text(`value ${i} `.repeat(1 + (i % 40)))
    case 3:
      return noise(`value ${seed} ${i}`, 60 + (i % 10))
    case 4:
      return noise(`value ${seed} ${i}`, 8_180 + (i % 30))
    case 5:
      return new Uint8Array(3_000).fill(i & 0xff)
    default:
      return noise(`value ${seed} ${i}`, 1)
  }
}

function headersOf(seed: number, i: number): Headers {
  switch ((seed + i) % 6) {
    case 0:
      return []
    case 1:
      return [['one', text('1')]]
    case 2:
      return [
        ['twice', text('a')],
        ['twice', null],
        ['twice', text('a')],
      ]
    case 3:
      return [
        ['', new Uint8Array(0)],
        ['größe', text('köpfe')],
        ['日本', null],
      ]
    case 4:
      return Array.from({ length: 70 }, (_, n) => [`h${n}`, noise(`${i}/${n}`, n)] as const)
    default:
      return [['null', null]]
  }
}

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value)
}
