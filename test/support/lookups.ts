/**
 * What lookups by key must answer, told from the records of a log.
 */
import { expect } from 'vitest'
import { VarveError } from '../../src/varve.ts'
import type { Bytes, KeyedTopic, LogRecord } from '../../src/varve.ts'
import { collected } from './collected.ts'
import { KEYS, isTombstone, keyOf } from './live-keys.ts'
import type { ProducerModel } from './producer-model.ts'

export type RawLookups = KeyedTopic<Bytes | null, Bytes, string, Uint8Array | null>

/** `'contested'`: there is one, and keys share identities. */
export type MapState = 'on' | 'contested' | 'off'

/** Compares every lookup of every key with what the records say. */
export async function expectLookups(topic: RawLookups, model: ProducerModel, map: MapState): Promise<void> {
  const live: string[] = []
  for (let n = 0; n <= KEYS; n++) {
    const key = Buffer.from(`key ${n}`)
    const history = historyOf(model, key.toString())
    expect((await collected(topic.history(key))).map(lineOf)).toEqual(history)
    const newest = history.at(-1)
    const expected = newest === undefined || newest.endsWith('null') ? undefined : newest
    if (expected !== undefined) live.push(expected)
    const found = await topic.get(key)
    expect([`key ${n}`, found === undefined ? undefined : lineOf(found)]).toEqual([`key ${n}`, expected])
    expectSync(topic, key, expected, map)
  }
  if (map === 'off') return expect(() => topic.latest()).toThrow(expect.objectContaining({ code: 'KEY_MAP_OFF' }))
  const latest = topic.latest()
  expect(latest.positions).toEqual({ 0: model.decided().lastStable })
  expect((await collected(latest)).map(lineOf).toSorted()).toEqual(live.toSorted())
}

/** The same of a log that is cleaned, from the committed records that are in it, as `offset key value`. */
export async function expectCleanedLookups(
  topic: RawLookups,
  committed: readonly string[],
  lastStable: number,
  map: MapState,
): Promise<void> {
  const live: string[] = []
  for (let n = 0; n <= KEYS; n++) {
    const key = Buffer.from(`key ${n}`)
    const history = committed.filter((line) => line.includes(` ${key.toString()} `))
    expect((await collected(topic.history(key))).map(lineOf)).toEqual(history)
    const newest = history.at(-1)
    const expected = newest === undefined || newest.endsWith('null') ? undefined : newest
    if (expected !== undefined) live.push(expected)
    const found = await topic.get(key)
    expect(found === undefined ? undefined : lineOf(found)).toBe(expected)
    expectSync(topic, key, expected, map)
  }
  if (map === 'off') return
  const latest = topic.latest()
  expect(latest.positions).toEqual({ 0: lastStable })
  expect((await collected(latest)).map(lineOf).toSorted()).toEqual(live.toSorted())
}

function expectSync(topic: RawLookups, key: Buffer, expected: string | undefined, map: MapState): void {
  try {
    const found = topic.getSync(key)
    expect(found === undefined ? undefined : lineOf(found)).toBe(expected)
    expect(map).not.toBe('off')
  } catch (error) {
    const allowed = { on: undefined, contested: 'WOULD_BLOCK', off: 'KEY_MAP_OFF' }[map]
    if (!VarveError.is(error) || error.code !== allowed) throw error
  }
}

/** Committed records of a key, oldest first. */
function historyOf(model: ProducerModel, key: string): string[] {
  const { aborted, lastStable } = model.decided()
  const lines: string[] = []
  for (const { base, values, marker } of model.entries) {
    if (marker !== undefined || aborted.has(base)) continue
    for (const [i, value] of values.entries()) {
      const offset = base + i
      if (keyOf(value).toString() !== key || offset < model.logStart || offset >= lastStable) continue
      lines.push(`${offset} ${key} ${isTombstone(value) ? 'null' : value}`)
    }
  }
  return lines
}

function lineOf({ offset, key, value }: LogRecord<Bytes | null, Bytes>): string {
  const [keyText, text] = [key, value].map((bytes) => (bytes === null ? 'null' : Buffer.from(bytes).toString()))
  return `${offset} ${keyText} ${text}`
}
