/**
 * What lookups by key show of transactions.
 */
import { beforeAll, describe, expect, it } from 'vitest'
import { simulatedFileSystem } from '../../src/base/memory-file-system.ts'
import { initHashes } from '../../src/base/xxh64.ts'
import { testClock } from '../../src/testing.ts'
import type { TestClock } from '../../src/testing.ts'
import { collected } from '../support/collected.ts'
import { ProducerRig } from '../support/producer-rig.ts'
import { raw, text } from './rig.ts'

const KEY = raw('key 1')
// Values of that key.
const [BEFORE, WITHIN, AFTER] = ['1', '=', 'C']

class Life {
  readonly #rig: ProducerRig
  readonly #clock: TestClock

  constructor(rig: ProducerRig, clock: TestClock) {
    this.#rig = rig
    this.#clock = clock
  }

  static async begin(keyMap: boolean): Promise<Life> {
    const clock = testClock()
    return new Life(await ProducerRig.open(simulatedFileSystem(), clock, 1, { keyMap }), clock)
  }

  async send(producerId: number, baseSequence: number, value: string, isTransactional: boolean): Promise<void> {
    const sent = { producerId, producerEpoch: 0, baseSequence, isTransactional }
    this.#rig.produce(sent, [value], true, { ack: undefined, error: undefined })
    await this.#clock.advance(50)
  }

  async end(producerId: number, commit: boolean): Promise<void> {
    const marker = { producerId, producerEpoch: 0, coordinatorEpoch: 0, commit }
    this.#rig.end(marker, true, { ack: undefined, error: undefined })
    await this.#clock.advance(50)
  }

  /** Its last segment is sealed. */
  async roll(): Promise<void> {
    this.#rig.roll()
    await this.#clock.advance(1000)
  }

  /** What `get` shows, and `history`. */
  async shown(): Promise<[string | null, (string | null)[]]> {
    const { topic } = this.#rig
    const found = await topic.get(KEY)
    const history = await collected(topic.history(KEY))
    return [text(found?.value ?? null), history.map(({ value }) => text(value))]
  }

  close(): Promise<void> {
    return this.#rig.close()
  }
}

const WORLDS = [
  ['with a key map', true, false],
  ['by key indexes', false, true],
  ['by walking', false, false],
] as const

beforeAll(initHashes)

describe.each(WORLDS)('%s', (_, keyMap, sealed) => {
  async function begun(): Promise<Life> {
    const life = await Life.begin(keyMap)
    await life.send(1, 0, BEFORE, false)
    await life.send(2, 0, WITHIN, true)
    if (sealed) await life.roll()
    expect(await life.shown()).toEqual([BEFORE, [BEFORE]])
    return life
  }

  it('an open one is not seen, and what comes behind it waits', async () => {
    const life = await begun()
    await life.send(1, 1, AFTER, false)
    expect(await life.shown()).toEqual([BEFORE, [BEFORE]])
    await life.end(2, true)
    expect(await life.shown()).toEqual([AFTER, [BEFORE, WITHIN, AFTER]])
    await life.close()
  })

  it('a committed one is', async () => {
    const life = await begun()
    await life.end(2, true)
    if (sealed) await life.roll()
    expect(await life.shown()).toEqual([WITHIN, [BEFORE, WITHIN]])
    await life.close()
  })

  it('an aborted one never is', async () => {
    const life = await begun()
    await life.end(2, false)
    if (sealed) await life.roll()
    expect(await life.shown()).toEqual([BEFORE, [BEFORE]])
    await life.send(1, 1, AFTER, false)
    expect(await life.shown()).toEqual([AFTER, [BEFORE, AFTER]])
    await life.close()
  })
})
