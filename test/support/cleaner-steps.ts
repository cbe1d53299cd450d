/**
 * Random lives of a log for the cleaner: what is appended, decided, rolled, waited for and cleaned.
 */
import fc from 'fast-check'

const KEY_LENGTHS = [2, 3, 9, 40, 300, 700, 900, 1100, 5000]

export interface PlannedRecord {
  /** -1: no key. */
  readonly key: number
  /** -1: no value. */
  readonly valueBytes: number
  readonly ageMs: number
  readonly headers: number
}

export type Step =
  | {
      readonly kind: 'append'
      /** 0: none. */
      readonly producer: number
      readonly transactional: boolean
      readonly records: readonly PlannedRecord[]
      readonly codec: number
      readonly appendTime: boolean
    }
  | { readonly kind: 'end'; readonly producer: number; readonly commit: boolean; readonly raise: boolean }
  | { readonly kind: 'roll' }
  | { readonly kind: 'wait'; readonly ms: number }
  | { readonly kind: 'forget'; readonly producer: number }
  | {
      readonly kind: 'clean'
      /** By an offset map of so many bytes; 0: by a key map. */
      readonly mapBytes: number
      readonly windowBytes: number
      /** Of the offsets between the end of the round and the last stable one: how many belong to the evidence. */
      readonly share: number
      readonly provesShare: number
    }

const producer = fc.constantFrom(1, 1, 1, 2, 3)

const recordsOf = (ages: readonly number[]): fc.Arbitrary<PlannedRecord> =>
  fc.record({
    key: fc.oneof(
      { weight: 10, arbitrary: fc.integer({ min: 0, max: 3 }) },
      { weight: 5, arbitrary: fc.integer({ min: 0, max: KEY_LENGTHS.length - 1 }) },
      { weight: 1, arbitrary: fc.constant(-1) },
    ),
    valueBytes: fc.constantFrom(-1, -1, 0, 1, 5, 30, 80),
    ageMs: fc.constantFrom(...ages),
    headers: fc.constantFrom(0, 0, 0, 2),
  })

const RECENT = [0, 0, 5, 70, 5_000]
/** Older than time is. */
const ANCIENT = 2_000_000_000_000

const writing = (ages: readonly number[]) => [
  {
    weight: 14,
    arbitrary: fc.record({
      kind: fc.constant('append' as const),
      producer: fc.constantFrom(0, 1, 1, 1, 2, 3),
      transactional: fc.boolean(),
      records: fc.array(recordsOf(ages), { minLength: 1, maxLength: 4 }),
      codec: fc.constantFrom(0, 0, 0, 1, 2, 3, 4),
      appendTime: fc.constantFrom(false, false, true),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('end' as const),
      producer,
      commit: fc.boolean(),
      raise: fc.boolean(),
    }),
  },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('roll' as const) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.constantFrom(1, 60, 100, 250) }) },
]

const CLEANING = [
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('forget' as const), producer }) },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('clean' as const),
      mapBytes: fc.constantFrom(0, 0, 4096, 4096, 65_536),
      windowBytes: fc.constantFrom(16, 300, 4096),
      share: fc.constantFrom(0, 0.5, 1),
      provesShare: fc.constantFrom(0, 0.5, 1),
    }),
  },
] as const

/**
 * Lives of a log; with `cleans` they clean it now and then, and forget producers. Without, nothing is so old that its
 * producer is forgotten for it.
 */
export function lifeSteps(cleans: boolean): fc.Arbitrary<Step[]> {
  const step: fc.Arbitrary<Step> = cleans
    ? fc.oneof(...writing([...RECENT, ANCIENT]), ...CLEANING)
    : fc.oneof(...writing(RECENT))
  return fc.array(step, { minLength: 1, maxLength: 70, size: 'max' })
}

/** A key by its number, as long as its number says. */
export function keyText(key: number): string {
  return String.fromCharCode(97 + key).repeat(KEY_LENGTHS[key]!)
}
