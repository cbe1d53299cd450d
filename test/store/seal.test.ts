/**
 * Sealing a full segment where the disk does not give back what is in it.
 */
import { expect, it } from 'vitest'
import { errnoError } from '../../src/base/sim-errno.ts'
import { defineTopic, utf8 } from '../../src/varve.ts'
import { range, Simulated, values } from './rig.ts'

const Lines = defineTopic('lines', { value: utf8(), config: { segmentBytes: 2000 } })
const FIRST = '/s/log/lines-0/00000000000000000000.log'
/** Longer than it takes until what could not be sealed is tried again. */
const PASS_MS = 11_000

it.each(['EIO', 'EACCES'])('is tried again after a failed read (%s), and the store takes writes', async (errno) => {
  const place = new Simulated()
  const text = (n: number): string => `${n}`.padEnd(300, 'x')
  {
    await using store = await place.open()
    const topic = await store.topic(Lines, { create: 'must' })
    const sealedAt = (): number | null => topic.partition(0).segments()[0]!.sealedAt
    let failed = 0
    place.fileSystem.onOperation(({ phase, kind, path }) => {
      if (phase !== 'before' || kind !== 'read' || path !== FIRST) return
      failed++
      throw errnoError(errno, kind, path)
    })
    for (const n of range(0, 20)) await topic.append({ value: text(n) })
    await place.clock.advance(PASS_MS)
    expect(failed).toBeGreaterThan(1)
    expect(sealedAt()).toBeNull()
    place.fileSystem.onOperation(undefined)
    await place.clock.advance(PASS_MS)
    expect(sealedAt()).toBeGreaterThan(0)
    await topic.append({ value: text(20) })
  }
  await using store = await place.open()
  expect(store.recovery).toMatchObject({ clean: true, warnings: [] })
  expect(await values((await store.topic(Lines)).read())).toEqual(range(0, 21).map(text))
})
