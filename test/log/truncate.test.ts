/**
 * Truncation: what is cut is gone, what is below stays, and a crash anywhere leaves a prefix that holds the rest.
 */
import { expect, test } from 'vitest'
import { simulatedFileSystem } from '../../src/base/memory-file-system.ts'
import type { SimulatedFileSystem } from '../../src/base/memory-file-system.ts'
import { seededRandom } from '../../src/base/seeded-random.ts'
import { testClock } from '../../src/base/test-clock.ts'
import { resolveOpenOptions, TUNING } from '../../src/options.ts'
import type { Doors, TuningOptions } from '../../src/options.ts'
import { openForWriting } from '../../src/store-open.ts'
import { StoreTopics } from '../../src/store-topics.ts'
import { openStore } from '../../src/varve.ts'

const CONFIG = { segmentBytes: 400, batchBytes: 1, fileDeleteDelayMs: 0 }

type Options = Doors & { readonly mode: 'read-write'; readonly [TUNING]: TuningOptions }

function doors(fileSystem: SimulatedFileSystem): Options {
  const tuning = { journal: { fileBytes: 64 * 1024, fileCount: 3 } }
  return { mode: 'read-write', fileSystem, clock: testClock(), random: seededRandom(7), [TUNING]: tuning }
}

async function fill(fileSystem: SimulatedFileSystem, count: number): Promise<void> {
  await using store = await openStore('/s', doors(fileSystem))
  const topic = await store.topic('t', { create: 'if-missing', config: CONFIG })
  for (let n = 0; n < count; n++) await topic.append({ value: Buffer.from(`value ${n}`) })
}

async function values(fileSystem: SimulatedFileSystem): Promise<string[]> {
  await using store = await openStore('/s', doors(fileSystem))
  const topic = await store.topic('t')
  const found: string[] = []
  for await (const { value } of topic.read()) found.push(Buffer.from(value ?? []).toString())
  return found
}

/** Truncates through the parts that a restore will use. */
async function truncate(fileSystem: SimulatedFileSystem, offset: number): Promise<number> {
  const options = doors(fileSystem)
  const resolved = resolveOpenOptions(options, options)
  const opened = await openForWriting('/s', resolved)
  const topics = new StoreTopics(opened.engine, opened.catalog)
  return topics.truncate('t', 0, offset)
}

const expected = (count: number): string[] => Array.from({ length: count }, (_, n) => `value ${n}`)

test('what is cut is gone, and the next record gets its offset', async () => {
  const fileSystem = simulatedFileSystem()
  await fill(fileSystem, 30)
  expect(await truncate(fileSystem, 11)).toBe(11)
  fileSystem.crash()
  expect(await values(fileSystem)).toEqual(expected(11))
  await using store = await openStore('/s', doors(fileSystem))
  const topic = await store.topic('t')
  expect(await topic.append({ value: Buffer.from('again') })).toMatchObject({ offset: 11 })
  expect(await topic.partition(0).at(10)).toMatchObject({ offset: 10 })
})

test('to the beginning, and behind the end', async () => {
  const fileSystem = simulatedFileSystem()
  await fill(fileSystem, 12)
  expect(await truncate(fileSystem, 50)).toBe(12)
  fileSystem.crash()
  expect(await truncate(fileSystem, 0)).toBe(0)
  fileSystem.crash()
  expect(await values(fileSystem)).toEqual([])
  await fill(fileSystem, 3)
  expect(await values(fileSystem)).toEqual(expected(3))
})

test('a crash at any operation leaves a prefix with all that is below', async () => {
  const fileSystem = simulatedFileSystem()
  await fill(fileSystem, 25)
  const images: SimulatedFileSystem[] = []
  let seed = 0
  fileSystem.onOperation(() => {
    images.push(fileSystem.crashImage(++seed))
  })
  await truncate(fileSystem, 9)
  fileSystem.onOperation(undefined)
  expect(images.length).toBeGreaterThan(20)
  for (const image of images) {
    const found = await values(image)
    expect(found.length).toBeGreaterThanOrEqual(9)
    expect(found).toEqual(expected(found.length))
    await fill(image, 1)
    expect((await values(image)).at(-1)).toBe('value 0')
  }
})
