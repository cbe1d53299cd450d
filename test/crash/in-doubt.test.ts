/** Writes that failed or are under way: who is told what, who waits for whom, and what the next opens make of it. */
import { beforeAll, expect, test } from 'vitest'
import { errnoError } from '../../src/base/sim-errno.ts'
import { initHashes } from '../../src/base/xxh64.ts'
import { TUNING } from '../../src/options.ts'
import { simulatedFileSystem } from '../../src/base/memory-file-system.ts'
import type { SimulatedFileSystem } from '../../src/base/memory-file-system.ts'
import { atEveryChange, numbered, RuleStore, SlowDisk, textsAfterOpen } from '../support/rule-store.ts'

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

test('P3 a deletion that only the cache remembers is undone whole or done whole, whenever the cache forgets it', async () => {
  const fs = simulatedFileSystem()
  const rule = await RuleStore.open(fs)
  const topic = await rule.topic('a')
  for (const text of numbered(30)) await rule.append(topic, text)
  await rule.clock.advance(1000)
  let entries = 0
  fs.onOperation(({ kind, path, phase }) => {
    if (phase !== 'before' || kind !== 'sync' || !path.endsWith('.journal')) return
    // The first names what is durable, the second has the floor.
    if (++entries === 2) throw errnoError('EIO', kind, path)
  })
  await expect(rule.wait(topic.partition(0).deleteBefore(20))).rejects.toMatchObject({ outcome: 'indefinite' })
  fs.onOperation(undefined)
  const died = fs.crashImage(0, 'none')
  const images: SimulatedFileSystem[] = []
  const opening = async (): Promise<void> => {
    const again = await RuleStore.open(died)
    await again.close()
  }
  await atEveryChange(
    died,
    () => {
      const image = died.crashImage(0, 'none')
      image.evictCaches()
      images.push(image)
    },
    opening,
  )
  const found = new Set<number>()
  for (const image of images) {
    const texts = await textsAfterOpen(image, 'a')
    expect([numbered(30), numbered(30).slice(20)]).toContainEqual(texts)
    found.add(texts.length)
  }
  expect(found).toEqual(new Set([30, 10]))
})

test('a topic is deleted while another one waits for the disk', async () => {
  const fs = new SlowDisk()
  const rule = await RuleStore.open(fs)
  const [busy] = [await rule.topic('busy'), await rule.topic('gone')]
  const release = Promise.withResolvers<void>()
  fs.pause = (path) => (path.endsWith('.journal') ? release.promise : Promise.resolve())
  const append = busy.append({ value: Buffer.from('waits') })
  await rule.wait(rule.store.deleteTopic('gone'))
  expect(await rule.store.topics()).toEqual(['busy'])
  release.resolve()
  expect((await rule.wait(append)).offset).toBe(0)
})
