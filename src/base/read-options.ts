/**
 * The options of a read, checked and complete.
 *
 * Owns     what `read` accepts, and how the many forms of a place become two: an offset per partition, or a rule.
 * Holds    What is resolved is frozen, with every field present. Nothing here looks at a log: what a rule comes to is
 *          found out at the first pull.
 */
import type { DecodeOptions, From, ReadOptions, Until } from './api-read.ts'
import type { Positions, Signal } from './api-records.ts'
import { invalidOption, oneOf, optionsObject, signalOf } from './checks.ts'
import { VarveError } from './errors.ts'
import { parseInteger, parseSize } from './units.ts'

/** A place in each partition that is read. */
export type Place<Word extends string> =
  | { readonly kind: Word }
  | { readonly kind: 'time'; readonly time: number }
  /** A partition without an entry: its log start. */
  | { readonly kind: 'offsets'; readonly offsets: ReadonlyMap<number, number> }

export interface ResolvedReadOptions {
  /** The partitions to read, rising. */
  readonly partitions: readonly number[]
  readonly from: Place<'earliest' | 'latest'>
  readonly until: Place<'end' | 'forever'>
  readonly isolation: 'read_committed' | 'read_uncommitted'
  readonly outOfRange: 'error' | 'earliest' | 'latest'
  readonly prefetchBytes: number
  /** 2^53 - 1 when there is no limit. */
  readonly maxBatchRecords: number
  readonly onUndecodable: NonNullable<DecodeOptions['onUndecodable']>
  readonly signal: AbortSignal | undefined
}

/** What must be known of the topic to check a read of it. */
export interface ReadSubject {
  readonly name: string
  readonly partitions: number
}

const NAMES = [
  'partition',
  'from',
  'until',
  'isolation',
  'outOfRange',
  'prefetchBytes',
  'maxBatchRecords',
  'onUndecodable',
  'signal',
] as const satisfies readonly (keyof ReadOptions)[]

/** The options of a read of `topic`. Throws INVALID_OPTION, PARTITION_MISSING. */
export function resolveReadOptions(options: ReadOptions | undefined, topic: ReadSubject): ResolvedReadOptions {
  const given = optionsObject(options, NAMES, '')
  const partitions = partitionsToRead(given.partition ?? 'all', topic)
  const place = { partitions, topic }
  return Object.freeze({
    partitions,
    from: fromPlace(given.from ?? 'earliest', place),
    until: untilPlace(given.until ?? 'end', place),
    isolation: oneOf(given.isolation ?? 'read_committed', ['read_committed', 'read_uncommitted'], 'isolation'),
    outOfRange: oneOf(given.outOfRange ?? 'error', ['error', 'earliest', 'latest'], 'outOfRange'),
    prefetchBytes: parseSize(given.prefetchBytes ?? 2 ** 20, 'prefetchBytes', 1),
    maxBatchRecords: parseInteger(given.maxBatchRecords ?? Number.MAX_SAFE_INTEGER, 'maxBatchRecords', 1),
    onUndecodable: undecodableRule(given.onUndecodable ?? 'throw'),
    signal: signalOf(given.signal),
  })
}

/** Options of a lookup by key that yields records. Throws INVALID_OPTION. */
export function resolveLookupOptions(
  options: (Signal & DecodeOptions) | undefined,
): Pick<ResolvedReadOptions, 'onUndecodable' | 'signal'> {
  const { onUndecodable, signal } = optionsObject(options, ['onUndecodable', 'signal'], '')
  return { onUndecodable: undecodableRule(onUndecodable ?? 'throw'), signal: signalOf(signal) }
}

/** A time as ms since 1970. Throws INVALID_OPTION, which names `option`. */
export function timeOf(time: unknown, option: string): number {
  const ms = time instanceof Date ? time.getTime() : time
  if (typeof ms === 'number' && Number.isSafeInteger(ms)) return ms
  throw invalidOption(option, time, 'a valid Date or whole milliseconds since 1970')
}

/** A partition's number. Throws INVALID_OPTION unless it is a number, PARTITION_MISSING when there is no such one. */
export function checkPartition(partition: unknown, topic: ReadSubject, option = 'partition'): number {
  const index = parseInteger(partition as number, option)
  if (index < topic.partitions) return index
  throw new VarveError(
    'PARTITION_MISSING',
    `The topic ${topic.name} has no partition ${index}: it has ${topic.partitions}, counted from 0.`,
    { topic: topic.name, partition: index, partitions: topic.partitions },
  )
}

interface PlaceFacts {
  readonly partitions: readonly number[]
  readonly topic: ReadSubject
}

function partitionsToRead(partition: number | 'all', topic: ReadSubject): readonly number[] {
  if (partition === 'all') return Object.freeze(Array.from({ length: topic.partitions }, (_, index) => index))
  return Object.freeze([checkPartition(partition, topic)])
}

function fromPlace(from: From, facts: PlaceFacts): ResolvedReadOptions['from'] {
  if (from === 'earliest' || from === 'latest') return { kind: from }
  return markedPlace(from, 'from', "'earliest', 'latest', an offset, positions or { time }", facts)
}

function untilPlace(until: Until, facts: PlaceFacts): ResolvedReadOptions['until'] {
  if (until === 'end' || until === 'forever') return { kind: until }
  return markedPlace(until, 'until', "'end', 'forever', an offset, positions or { time }", facts)
}

/** The forms that `from` and `until` share. */
function markedPlace(place: unknown, option: string, forms: string, facts: PlaceFacts): Place<never> {
  if (typeof place === 'number')
    return { kind: 'offsets', offsets: new Map([[onlyPartition(option, facts), parseInteger(place, option)]]) }
  // A Date, a Map or a list would pass for positions without an entry, which is a read from the start.
  if (Object.prototype.toString.call(place) !== '[object Object]') throw invalidOption(option, place, forms)
  if ('time' in (place as object)) {
    const { time } = optionsObject(place as { readonly time: unknown }, ['time'], option)
    return { kind: 'time', time: timeOf(time, `${option}.time`) }
  }
  return { kind: 'offsets', offsets: offsetsOf(place as Positions, option, facts.topic) }
}

function onlyPartition(option: string, { partitions, topic }: PlaceFacts): number {
  const [only] = partitions
  if (only !== undefined && partitions.length === 1) return only
  throw new VarveError(
    'INVALID_OPTION',
    `${option}: an offset alone does not say which of the ${topic.partitions} partitions of ${topic.name} it is in. ` +
      'Name a partition, or give positions.',
    { option },
  )
}

function offsetsOf(positions: Positions, option: string, topic: ReadSubject): ReadonlyMap<number, number> {
  const offsets = new Map<number, number>()
  for (const [name, offset] of Object.entries(positions)) {
    const index = /^\d{1,9}$/.test(name) ? Number(name) : name
    const partition = checkPartition(index, topic, `a partition in ${option}`)
    offsets.set(partition, parseInteger(offset, `${option}[${partition}]`))
  }
  return offsets
}

function undecodableRule(rule: unknown): ResolvedReadOptions['onUndecodable'] {
  if (rule === 'throw' || rule === 'skip') return rule
  if (typeof rule === 'function') return rule as ResolvedReadOptions['onUndecodable']
  throw invalidOption('onUndecodable', rule, "'throw', 'skip' or a function")
}
