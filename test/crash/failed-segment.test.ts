/**
 * A segment that cannot be written while entries of the journal are under way: who is told what, and what an open finds.
 */
import { beforeAll, expect, test } from 'vitest'
import { errnoError } from '../../src/base/sim-errno.ts'
import { initHashes } from '../../src/base/xxh64.ts'
import { TUNING } from '../../src/options.ts'
import { RuleStore, SlowDisk, textsAfterOpen } from '../support/rule-store.ts'

beforeAll(initHashes)

/** Goes to its segment at once, as soon as its entry is durable. */
const LARGE = 'x'.repeat(20 * 1024)
const TUNED = { journal: { fileBytes: 256 * 1024, fileCount: 4 }, groupBytes: 64 * 1024 }

test('P7 what becomes durable behind a failed segment write is in doubt, and an open has both', async () => {
  const fs = new SlowDisk()
  const rule = await RuleStore.open(fs, { [TUNING]: TUNED })
  const topic = await rule.topic('a', { segmentBytes: '1MiB' })
  await rule.append(topic, 'before')
  const release = Promise.withResolvers<void>()
  fs.pause = () => release.promise
  let entries = 0
  let failures = 0
  fs.onOperation(({ kind, path, phase }) => {
    if (phase !== 'before' || kind !== 'write') return
    if (path.endsWith('.journal')) entries++
    if (!path.endsWith('.log')) return
    failures++
    throw errnoError('EIO', kind, path)
  })
  const appends = [topic.append({ value: Buffer.from(LARGE) })]
  await rule.clock.advance(100)
  appends.push(topic.append({ value: Buffer.from('behind') }))
  await rule.clock.advance(100)
  expect([entries, failures]).toEqual([2, 0])
  release.resolve()
  const outcomes = await rule.wait(Promise.allSettled(appends))
  expect(failures).toBe(1)
  fs.onOperation(undefined)
  const inDoubt = { status: 'rejected', reason: { code: 'LOG_FAILED', outcome: 'indefinite' } }
  expect(outcomes).toMatchObject([inDoubt, inDoubt])
  expect(await rule.texts(topic)).toEqual(['before'])
  await expect(rule.append(topic, 'late')).rejects.toMatchObject({ code: 'LOG_FAILED', outcome: 'definite' })
  fs.crash()
  expect(await textsAfterOpen(fs, 'a')).toEqual(['before', LARGE, 'behind'])
})
