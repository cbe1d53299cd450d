/**
 * What every benchmark shares: rounds in turn, medians and spreads, free space, a place to write.
 *
 * Holds    Ours, the raw limit and the peers take turns within each round, so that whatever the machine does next to
 *          us meets all of them. A ratio is the median of the rounds' own ratios. Nothing is measured while an
 *          earlier run's dirty pages are still on their way to the disk.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statfsSync } from 'node:fs'
import { join } from 'node:path'
import type { Peers } from './peers.ts'

const GIB = 1024 ** 3

/** One line of the report. */
export interface BenchResult {
  readonly id: string
  readonly what: string
  readonly ours: number
  readonly unit: string
  /** What the machine gives without an engine; null where nothing raw compares. */
  readonly limit: number | null
  /** Ours to the limit. */
  readonly ratio: number | null
  readonly peers: Readonly<Record<string, number>>
  /** (greatest - least) / median over the rounds of ours. */
  readonly spread: number
  /** `'less'`: smaller figures are better. */
  readonly better: 'more' | 'less'
  /** What the design wants to reach, in words, and whether this run did; null: cannot be told. */
  readonly reach: string | null
  readonly reached: boolean | null
  /** What a reader must know to judge the figure. */
  readonly notes: readonly string[]
}

export interface BenchContext {
  /** An empty directory on the disk that is measured; removed at the end. */
  readonly directory: string
  readonly quick: boolean
  /** Part of the full amount of data, 0 to 1. */
  readonly scale: number
  readonly rounds: number
  readonly peers: Peers
  /** Progress for a person. */
  say(line: string): void
}

export interface Benchmark {
  readonly id: string
  readonly what: string
  /** Bytes of disk that it needs at once. */
  neededBytes(context: BenchContext): number
  run(context: BenchContext): Promise<readonly BenchResult[]>
}

/** One side of a comparison: a run answers a figure, such as records per second. */
export interface Contender {
  readonly name: string
  run(round: number): Promise<number>
}

export type Series = ReadonlyMap<string, readonly number[]>

/** Runs all contenders once per round, each round in another order. */
export async function interleave(context: BenchContext, contenders: readonly Contender[]): Promise<Series> {
  const series = new Map(contenders.map(({ name }) => [name, [] as number[]]))
  for (let round = 0; round < context.rounds; round++) {
    for (let i = 0; i < contenders.length; i++) {
      const contender = contenders[(i + round) % contenders.length] as Contender
      settle()
      const figure = await contender.run(round)
      series.get(contender.name)?.push(figure)
      context.say(`round ${round + 1}/${context.rounds} ${contender.name}: ${readable(figure)}`)
    }
  }
  return series
}

export interface Claim {
  readonly id: string
  readonly what: string
  readonly unit: string
  readonly better?: 'more' | 'less' | undefined
  readonly reach?: string | undefined
  /** Told from the medians: whether the claim holds. */
  readonly holds?:
    ((figures: { ours: number; ratio: number | null; peers: Record<string, number> }) => boolean) | undefined
  readonly notes?: readonly string[] | undefined
}

/** Makes a result of a series with the contenders `ours`, `limit` and any peers. */
export function conclude(claim: Claim, series: Series): BenchResult {
  const ours = series.get('ours') ?? []
  const limits = series.get('limit')
  const ratios = limits === undefined ? [] : ours.map((value, i) => value / (limits[i] ?? Number.NaN))
  const peers: Record<string, number> = {}
  for (const [name, values] of series) if (name !== 'ours' && name !== 'limit') peers[name] = median(values)
  const ratio = ratios.length === 0 ? null : median(ratios)
  const figures = { ours: median(ours), ratio, peers }
  return {
    id: claim.id,
    what: claim.what,
    ours: figures.ours,
    unit: claim.unit,
    limit: limits === undefined ? null : median(limits),
    ratio,
    peers,
    spread: figures.ours === 0 ? 0 : (Math.max(...ours) - Math.min(...ours)) / figures.ours,
    better: claim.better ?? 'more',
    reach: claim.reach ?? null,
    reached: claim.holds === undefined ? null : claim.holds(figures),
    notes: claim.notes ?? [],
  }
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

/** The value below which that part of the values lies; between two of them it is interpolated. */
export function quantile(values: ArrayLike<number>, part: number): number {
  const sorted = Float64Array.from(values).sort()
  if (sorted.length === 0) return Number.NaN
  const place = part * (sorted.length - 1)
  const low = sorted[Math.floor(place)] ?? Number.NaN
  const high = sorted[Math.ceil(place)] ?? Number.NaN
  return low + (high - low) * (place - Math.floor(place))
}

/** Writes out what earlier runs left in the page cache. */
export function settle(): void {
  spawnSync('sync')
}

/** Runs with a fresh directory and removes it. */
export async function inFreshDirectory<T>(context: BenchContext, run: (directory: string) => Promise<T>): Promise<T> {
  mkdirSync(context.directory, { recursive: true })
  const directory = mkdtempSync(join(context.directory, 'run-'))
  try {
    return await run(directory)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** `full` bytes or records at scale 1, at least `least`; the quick run takes `quick`. */
export function amount(context: BenchContext, full: number, quick: number, least: number): number {
  return Math.max(least, Math.round((context.quick ? quick : full) * context.scale))
}

/** Dirty bytes at which the kernel makes writers wait; 4 GiB where it does not say. */
export function dirtyLimitBytes(): number {
  try {
    const pages = /nr_dirty_threshold (\d+)/.exec(readFileSync('/proc/vmstat', 'utf8'))?.[1]
    return pages === undefined ? 4 * GIB : Number(pages) * 4096
  } catch {
    return 4 * GIB
  }
}

/** Throws when the disk has no room for this benchmark and some spare. */
export function requireSpace(context: BenchContext, bytes: number): void {
  mkdirSync(context.directory, { recursive: true })
  const { bavail, bsize } = statfsSync(context.directory)
  const spare = 2 * GIB
  if (bavail * bsize >= bytes + spare) return
  throw new Error(`needs ${gib(bytes + spare)} GiB free in ${context.directory}, there are ${gib(bavail * bsize)}`)
}

/** Milliseconds that `run` took. */
export async function timed(run: () => unknown): Promise<number> {
  const start = performance.now()
  await run()
  return performance.now() - start
}

/** Bytes that compress badly, the same at every run. */
export function noiseBytes(size: number, seed = 1): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size)
  let state = seed | 0 || 1
  for (let i = 0; i < size; i++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    bytes[i] = state & 0xff
  }
  return bytes
}

/** Three significant digits, with a thousands separator. */
export function readable(value: number): string {
  if (!Number.isFinite(value)) return String(value)
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2
  return value.toLocaleString('en-US', { maximumFractionDigits: digits })
}

function gib(bytes: number): string {
  return (bytes / GIB).toFixed(1)
}

/** A number of 32 bits that looks random and is the same for the same `value`; another for another one. */
export function mix(value: number): number {
  let x = value | 0
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d)
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b)
  return (x ^ (x >>> 16)) >>> 0
}
