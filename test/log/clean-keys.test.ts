/**
 * Cleaning by the key map where keys share an identity.
 */
import { beforeAll, expect, test } from 'vitest'
import { simulatedFileSystem } from '../../src/base/memory-file-system.ts'
import { testClock } from '../../src/base/test-clock.ts'
import { initHashes } from '../../src/base/xxh64.ts'
import { compacted } from '../support/compacted-life.ts'
import { keyOf } from '../support/live-keys.ts'
import { ProducerRig } from '../support/producer-rig.ts'

beforeAll(initHashes)

test('of an identity that keys share nothing goes, no tombstone either, and other keys are cleaned', async () => {
  const clock = testClock()
  const rig = await ProducerRig.open(simulatedFileSystem(), clock, 1, { keyMap: true, config: compacted(0) })
  const append = async (...values: string[]): Promise<void> => {
    for (const value of values) rig.append(value, 0, true, { ack: undefined, error: undefined })
    await clock.advance(100)
  }
  // Values whose characters have the same sum have the same key.
  const [shared, other] = ['v1', 'v2']
  expect(keyOf(shared)).not.toEqual(keyOf(other))
  await append(shared, shared, other, other)
  const { engine } = rig.opened
  const key = keyOf(shared)
  engine.keyHasher.hash(key, 0, key.length)
  rig.log.keys!.contest(engine.keyHasher)
  const tombstone = '~'.padEnd(2, String.fromCharCode('v'.charCodeAt(0) + '1'.charCodeAt(0) - '~'.charCodeAt(0)))
  expect(keyOf(tombstone)).toEqual(key)
  await append(tombstone)
  await rig.clean()
  await rig.clean()
  expect(await rig.read('read_committed')).toEqual([`0 ${shared}`, `1 ${shared}`, `3 ${other}`, '4 '])
  const bytes = rig.log.view.segments.reduce((sum, segment) => sum + segment.liveBytes!, 0)
  expect(bytes).toBeGreaterThan(0)
  await rig.close()
})
