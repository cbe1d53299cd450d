/**
 * Every way to damage one file: a bit of every byte, every length, gone, longer; and what came of it, in numbers.
 */
import { expect } from 'vitest'
import type { SimulatedFileSystem } from '../../src/base/memory-file-system.ts'
import { seededRandom } from '../../src/testing.ts'
import { filesOf, judge, type Victim } from './victim.ts'

const BLOCK = 4096
const ZERO_SAMPLES = 200
const PATIENCE_MS = 20_000
const MOST_SHOWN = 12

/** What a file is, by its name. */
export const FILE_KINDS: Readonly<Record<FileKind, RegExp>> = {
  data: /\.log$/,
  index: /\.(index|timeindex)$/,
  sidecar: /\.varve$/,
  export: /(checkpoint|\.kafka_cleanshutdown|partition\.metadata)$/,
  state: /\/varve\/(catalog|identity|close-record|writer|marks)$/,
  journal: /\.journal$/,
}

export type FileKind = 'data' | 'index' | 'sidecar' | 'export' | 'state' | 'journal'

type Damage = (copy: SimulatedFileSystem, path: string) => void

/** Damages every file of a kind in every way, judges each copy, and prints both outcomes' numbers. */
export async function sweep(victim: Victim, title: string, kind: FileKind): Promise<void> {
  const tally = new Tally()
  for (const [path, bytes] of filesOf(victim.image)) {
    if (!FILE_KINDS[kind].test(path)) continue
    const random = seededRandom(path.length * 1000 + bytes.length)
    const places = kind === 'journal' ? usedPlaces(bytes, random) : bytes.keys()
    for (const place of places) {
      const bit = Math.floor(random.fraction() * 8)
      await tally.take(victim, 'flips', `bit ${bit} of byte ${place} of ${path}`, path, flip(place, bit))
      await tally.take(victim, 'lengths', `${path} cut to ${place} bytes`, path, cut(place))
    }
    await tally.take(victim, 'whole', `${path} deleted`, path, (copy) => copy.unlinkSync(path))
    for (const junk of [new Uint8Array(1), new Uint8Array(5000), random.bytes(1), random.bytes(700), bytes.slice()])
      await tally.take(victim, 'whole', `${path} with ${junk.length} bytes more`, path, extend(bytes.length, junk))
  }
  tally.print(`${title}, ${kind}`)
  expect(tally.failures.slice(0, MOST_SHOWN)).toEqual([])
}

/** Every place in use, the one behind it, and some of the zeros. */
function usedPlaces(bytes: Uint8Array, random: ReturnType<typeof seededRandom>): Set<number> {
  const places = new Set<number>()
  for (let block = 0; block < bytes.length; block += BLOCK) {
    const end = bytes.subarray(block, block + BLOCK).findLastIndex((byte) => byte !== 0) + 1
    for (let place = block; place < Math.min(block + end + 1, bytes.length); place++) places.add(place)
  }
  const used = places.size
  while (places.size < used + ZERO_SAMPLES) places.add(Math.floor(random.fraction() * bytes.length))
  return places
}

function flip(place: number, bit: number): Damage {
  return changed((file) => {
    const byte = new Uint8Array(1)
    file.readSync(byte, place)
    byte[0]! ^= 1 << bit
    file.writeSync(byte, place)
  })
}

function cut(length: number): Damage {
  return changed((file) => file.truncateSync(length))
}

function extend(length: number, junk: Uint8Array): Damage {
  return changed((file) => file.writeSync(junk, length))
}

function changed(change: (file: ReturnType<SimulatedFileSystem['openSync']>) => void): Damage {
  return (copy, path) => {
    const file = copy.openSync(path, 'write')
    change(file)
    file.closeSync()
  }
}

class Tally {
  readonly failures: string[] = []
  readonly #counts = new Map<string, { same: number; reported: number }>()

  async take(victim: Victim, way: string, what: string, path: string, damage: Damage): Promise<void> {
    const count = this.#counts.get(way) ?? { same: 0, reported: 0 }
    this.#counts.set(way, count)
    try {
      count[await inTime(judge(victim, (copy) => damage(copy, path)))]++
    } catch (error) {
      this.failures.push(`${what}: ${String(error)}`)
    }
  }

  print(title: string): void {
    const ways = [...this.#counts].map(([way, { same, reported }]) => `${way} ${same} same, ${reported} reported`)
    console.log(`damage to a store ${title}: ${ways.join('; ')}; failures ${this.failures.length}`)
  }
}

async function inTime<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('it hangs')), PATIENCE_MS)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
