/**
 * The rules of the journal and of evidence, each with the run that breaks a promise without it.
 */
import { beforeAll, describe, expect, test } from 'vitest'
import { simulatedFileSystem } from '../../src/base/memory-file-system.ts'
import type { SimulatedFileSystem } from '../../src/base/memory-file-system.ts'
import { testClock } from '../../src/base/test-clock.ts'
import { initHashes } from '../../src/base/xxh64.ts'
import { TUNING } from '../../src/options.ts'
import { Sidecar } from '../../src/segment/sidecar.ts'
import { checkFiles } from '../support/sim-files.ts'
import {
  atEveryChange,
  DIRECT_BYTES,
  flipBit,
  hops,
  numbered,
  ROOT,
  RuleStore,
  SlowDisk,
  textsAfterOpen,
} from '../support/rule-store.ts'

beforeAll(initHashes)

const JOURNAL = `${ROOT}/varve/journal`
const LARGE = 'x'.repeat(DIRECT_BYTES + 100)

interface Image {
  readonly fs: SimulatedFileSystem
  readonly acknowledged: readonly string[]
}

/** Images after every change while `work` runs, with what was acknowledged by then. */
async function imagesOf(
  fs: SimulatedFileSystem,
  take: (number: number) => SimulatedFileSystem[],
  acknowledged: readonly string[],
  work: () => Promise<unknown>,
): Promise<Image[]> {
  const images: Image[] = []
  await atEveryChange(
    fs,
    ({ number }) => {
      for (const image of take(number)) images.push({ fs: image, acknowledged: [...acknowledged] })
    },
    work,
  )
  return images
}

function dataFiles(fs: SimulatedFileSystem, folder: string): string[] {
  const names = fs.listSync(`${ROOT}/log/${folder}`).map(({ name }) => name)
  return names.filter((name) => name.endsWith('.log')).map((name) => `${ROOT}/log/${folder}/${name}`)
}

describe('journal', () => {
  test('J1 a group is in no segment, and nobody is told, before its entry is durable', async () => {
    const fs = new SlowDisk()
    const rule = await RuleStore.open(fs)
    const topics = [await rule.topic('a'), await rule.topic('b')]
    const order: string[] = []
    await atEveryChange(
      fs,
      ({ kind, path }) => {
        if (path.endsWith('.journal')) order.push(kind)
        else if (path.endsWith('.log')) order.push('segment')
      },
      () =>
        rule.wait(
          Promise.all(
            topics.map(async (topic) => {
              await topic.append({ value: Buffer.from('both') })
              order.push('told')
            }),
          ),
        ),
    )
    expect(order.slice(0, 2)).toEqual(['write', 'sync'])
    expect(order.slice(2).toSorted()).toEqual(['segment', 'segment', 'told', 'told'])
  })

  test('J2 what one entry holds is there in all logs or in none', async () => {
    const fs = simulatedFileSystem()
    const rule = await RuleStore.open(fs)
    const topics = [await rule.topic('a'), await rule.topic('b')]
    const take = (number: number): SimulatedFileSystem[] => [
      ...[1, 2, 3].map((seed) => fs.crashImage(number * 7 + seed)),
      fs.crashImage(0, 'none'),
    ]
    const images = await imagesOf(fs, take, [], () =>
      rule.wait(Promise.all(topics.map((topic) => topic.append({ value: Buffer.from('both') })))),
    )
    expect(images.length).toBeGreaterThan(8)
    for (const image of images) expect(await textsAfterOpen(image.fs, 'a')).toEqual(await textsAfterOpen(image.fs, 'b'))
  })

  test('J3 a durable record behind unsynced ones is no hole after a power cut', async () => {
    for (const text of ['small', LARGE]) {
      const fs = new SlowDisk()
      const rule = await RuleStore.open(fs)
      const topic = await rule.topic('a')
      for (const unsynced of numbered(8, 'unsynced'.repeat(9))) await rule.append(topic, unsynced, 'os')
      let image: SimulatedFileSystem | undefined
      const append = async (): Promise<void> => {
        await topic.append({ value: Buffer.from(text) })
        image = fs.crashWith(() => false)
      }
      await rule.wait(append())
      const after = await RuleStore.open(image!)
      expect(after.store.recovery.warnings).toEqual([])
      expect((await after.texts(await after.topic('a'))).length).toBe(9)
    }
  })

  test('J4 an os append behind a pending disk one is not acknowledged before it', async () => {
    for (let wait = 0; wait < 120; wait += 6) {
      const fs = new SlowDisk()
      const rule = await RuleStore.open(fs)
      const topic = await rule.topic('a')
      const acknowledged: string[] = []
      const append = async (text: string, durability: 'disk' | 'os'): Promise<void> => {
        await topic.append({ value: Buffer.from(text) }, { durability })
        acknowledged.push(text)
      }
      const images = await imagesOf(
        fs,
        () => [fs.crashImage(0, 'none')],
        acknowledged,
        () => rule.wait(Promise.all([append('first', 'disk'), hops(wait).then(() => append('second', 'os'))])),
      )
      expect(acknowledged).toEqual(['first', 'second'])
      for (const image of images) {
        const texts = await textsAfterOpen(image.fs, 'a')
        expect(texts).toEqual(['first', 'second'].slice(0, texts.length))
        expect(texts).toEqual(expect.arrayContaining([...image.acknowledged]))
      }
    }
  })

  test("J5 the frontier of a quiet log outlives the ring's traffic: rot in its tail is refused, not cut", async () => {
    const fs = simulatedFileSystem()
    const rule = await RuleStore.open(fs)
    const quiet = await rule.topic('quiet')
    const busy = await rule.topic('busy')
    for (const text of numbered(3)) await rule.append(quiet, text)
    for (const text of numbered(60)) await rule.append(busy, text)
    const image = fs.crashImage(0, 'none')
    await flipBit(image, dataFiles(image, 'quiet-0')[0]!, 120)
    const after = await RuleStore.open(image)
    expect(after.store.recovery).toMatchObject({ truncatedBytes: 0 })
    expect(after.store.recovery.warnings.join()).toContain('damaged')
    const topic = await after.topic('quiet')
    await expect(after.texts(topic)).rejects.toMatchObject({ code: 'CORRUPT' })
    expect((await after.append(topic, 'next')).offset).toBe(3)
  })

  test('J6 a flipped bit in an old entry drops none of the entries behind it', async () => {
    const fs = simulatedFileSystem()
    const rule = await RuleStore.open(fs, { [TUNING]: { journal: { fileBytes: 256 * 1024, fileCount: 3 } } })
    const topic = await rule.topic('a', { segmentBytes: '1MiB' })
    for (const text of numbered(9)) await rule.append(topic, text)
    await rule.clock.advance(1000)
    // The checkpoint takes a block, and each entry one.
    const inThirdEntry = 3 * 4096 + 180
    const killed = fs.crashImage(0, 'none')
    await flipBit(killed, `${JOURNAL}/0000000000.journal`, inThirdEntry)
    expect(await textsAfterOpen(killed, 'a')).toEqual(numbered(9))
    // With the power the segments went too: nothing holds that record any more, and nothing may be dropped.
    const cut = fs.crashWith(() => false)
    await flipBit(cut, `${JOURNAL}/0000000000.journal`, inThirdEntry)
    await expect(RuleStore.open(cut)).rejects.toMatchObject({ code: 'CORRUPT' })
  })

  test('J7 what an open has shown is there after a power cut', async () => {
    const fs = simulatedFileSystem()
    const rule = await RuleStore.open(fs)
    const topic = await rule.topic('a')
    await rule.append(topic, 'first')
    const images = await imagesOf(
      fs,
      () => [fs.crashImage(0, 'none')],
      [],
      async () => {
        await rule.append(topic, 'journaled')
        await rule.append(topic, 'unsynced', 'os')
        await rule.append(topic, LARGE)
      },
    )
    for (const image of images) {
      const after = await RuleStore.open(image.fs)
      const shown = await after.texts(await after.topic('a'))
      await after.append(await after.topic('a'), 'behind')
      image.fs.crash()
      expect(await textsAfterOpen(image.fs, 'a')).toEqual([...shown, 'behind'])
    }
  })

  test('J8 what was deleted from the front does not come back, whatever became of its names', async () => {
    const fs = simulatedFileSystem()
    const rule = await RuleStore.open(fs)
    const topic = await rule.topic('a')
    for (const text of numbered(30)) await rule.append(topic, text)
    await rule.clock.advance(1000)
    const take = (number: number): SimulatedFileSystem[] => [fs.crashWith(() => false), fs.crashImage(number)]
    const deleting = await imagesOf(fs, take, [], () => rule.wait(topic.partition(0).deleteBefore(20)))
    const after = await imagesOf(fs, take, [], () => rule.append(topic, 'behind'))
    for (const image of deleting) {
      const texts = await textsAfterOpen(image.fs, 'a')
      expect([numbered(30), numbered(30).slice(20)]).toContainEqual(texts)
    }
    for (const image of after) {
      const texts = await textsAfterOpen(image.fs, 'a')
      expect([numbered(30).slice(20), [...numbered(30).slice(20), 'behind']]).toContainEqual(texts)
      expect(dataFiles(image.fs, 'a-0')[0]).not.toContain('0000000000.log')
    }
  })

  test('J9 a ring that comes around keeps what the segments lack', async () => {
    const fs = simulatedFileSystem()
    const rule = await RuleStore.open(fs)
    const topics = [await rule.topic('a'), await rule.topic('b')]
    const acknowledged: string[] = []
    const images = await imagesOf(
      fs,
      (number) => (number % 9 === 0 ? [fs.crashWith(() => false)] : []),
      acknowledged,
      async () => {
        for (const [n, text] of numbered(60).entries()) {
          await rule.append(topics[n % 2]!, text)
          acknowledged.push(text)
        }
      },
    )
    expect(images.length).toBeGreaterThan(20)
    for (const image of images) {
      const texts = [...(await textsAfterOpen(image.fs, 'a')), ...(await textsAfterOpen(image.fs, 'b'))]
      expect(texts).toEqual(expect.arrayContaining([...image.acknowledged]))
    }
  })

  test('J10 a full disk refuses for sure, gives the offset again, and brings back nothing twice', async () => {
    const fs = simulatedFileSystem()
    const rule = await RuleStore.open(fs)
    const topic = await rule.topic('a')
    const kept: string[] = []
    await rule.append(topic, 'before')
    fs.setCapacity(2 ** 40 - fs.freeBytesSync('/') + 4096)
    let refused = 0
    for (const text of numbered(200, LARGE)) {
      const call = topic.append({ value: Buffer.from(text) }, { durability: refused % 2 === 0 ? 'disk' : 'os' })
      await rule.wait(call).then(
        () => kept.push(text),
        (error: unknown) => {
          expect(error).toMatchObject({ code: 'DISK_FULL', outcome: 'definite' })
          refused++
        },
      )
      if (refused > 5) break
    }
    expect(refused).toBeGreaterThan(5)
    expect(await rule.texts(topic)).toEqual(['before', ...kept])
    fs.setCapacity(2 ** 40)
    await rule.clock.advance(1000)
    expect((await rule.append(topic, 'after')).offset).toBe(kept.length + 1)
    fs.crash()
    const texts = await textsAfterOpen(fs, 'a')
    expect(texts.filter((text) => text === 'after')).toEqual(['after'])
    expect(new Set(texts).size).toBe(texts.length)
  })

  test('J11 the sync by interval raises the frontier', async () => {
    const fs = simulatedFileSystem()
    const rule = await RuleStore.open(fs, { durability: { intervalMs: 50 } })
    const topic = await rule.topic('a')
    for (const text of numbered(20)) await rule.append(topic, text, 'os')
    await rule.clock.advance(200)
    const image = fs.crashWith(() => false)
    await flipBit(image, dataFiles(image, 'a-0').at(-1)!, 70)
    const after = await RuleStore.open(image)
    expect(after.store.recovery.truncatedBytes).toBe(0)
    expect(after.store.recovery.warnings.join()).toContain('damaged')
    fs.crash()
    expect(await textsAfterOpen(fs, 'a')).toEqual(numbered(20))
  })

  test('J12 a topic that is deleted and made again has none of the old records', async () => {
    const fs = simulatedFileSystem()
    const rule = await RuleStore.open(fs)
    const old = await rule.topic('orders')
    for (const text of numbered(12, 'old')) await rule.append(old, text)
    const images = await imagesOf(
      fs,
      (number) => [fs.crashWith(() => false), fs.crashImage(number)],
      [],
      async () => {
        await rule.wait(rule.store.deleteTopic('orders'))
        const made = await rule.topic('orders')
        expect((await rule.append(made, 'new')).offset).toBe(0)
        await expect(rule.append(old, 'late')).rejects.toMatchObject({ code: 'TOPIC_MISSING' })
      },
    )
    for (const image of images) {
      const texts = await textsAfterOpen(image.fs, 'orders')
      if (texts.length > 0) expect([numbered(12, 'old'), ['new']]).toContainEqual(texts)
    }
  })
})

describe('evidence', () => {
  test('E1 a sidecar over records that the power took is not believed', async () => {
    const fs = simulatedFileSystem()
    const rule = await RuleStore.open(fs)
    const topic = await rule.topic('a')
    for (const text of numbered(25)) await rule.append(topic, text, 'os')
    await rule.clock.advance(1000)
    for (let seed = 0; seed < 60; seed++) {
      const image = fs.crashImage(seed)
      const after = await RuleStore.open(image)
      const texts = await after.texts(await after.topic('a'))
      expect(texts).toEqual(numbered(25).slice(0, texts.length))
      expect((await after.append(await after.topic('a'), 'new')).offset).toBe(texts.length)
      await after.clock.advance(1000)
      await checkFiles(image, after.store, ROOT)
      image.crash()
      expect(await textsAfterOpen(image, 'a')).toEqual([...texts, 'new'])
    }
  })

  test('E4 a position above the end that the power left is told, with the range that is there', async () => {
    const fs = simulatedFileSystem()
    const rule = await RuleStore.open(fs)
    const topic = await rule.topic('a', { segmentBytes: '1MiB' })
    await rule.append(topic, 'kept')
    for (const text of numbered(5)) await rule.append(topic, text, 'os')
    fs.crash()
    const after = await RuleStore.open(fs)
    const again = await after.topic('a')
    const reading = async (): Promise<void> => {
      for await (const _ of again.read({ from: 6 })) expect.unreachable()
    }
    await expect(after.wait(reading())).rejects.toMatchObject({
      code: 'OFFSET_OUT_OF_RANGE',
      details: { logStart: 0, logEnd: 1 },
    })
  })

  test('E7 a sidecar of another data file is set aside and made anew', async () => {
    const fs = simulatedFileSystem()
    const rule = await RuleStore.open(fs)
    const topic = await rule.topic('a')
    for (const text of numbered(25)) await rule.append(topic, text)
    await rule.clock.advance(1000)
    fs.crash(1, 'none')
    const sidecars = fs.listSync(`${ROOT}/log/a-0`).filter(({ name }) => name.endsWith('.varve'))
    expect(sidecars.length).toBeGreaterThan(1)
    const [first, second] = sidecars.map(({ name }) => `${ROOT}/log/a-0/${name}`)
    fs.unlinkSync(first!)
    fs.linkSync(second!, first!)
    const after = await RuleStore.open(fs)
    expect(await after.texts(await after.topic('a'))).toEqual(numbered(25))
    await after.clock.advance(1000)
    const file = fs.openSync(first!, 'read')
    const bytes = new Uint8Array(file.sizeSync())
    file.readSync(bytes, 0)
    expect(Sidecar.decode(bytes, first!)?.summary).toMatchObject({ baseOffset: 0, cleanedUpTo: null })
  })

  test('E8 nothing goes by age while the clock cannot be trusted', async () => {
    const fs = simulatedFileSystem()
    const clock = testClock(0)
    const rule = await RuleStore.open(fs, {}, clock)
    const topic = await rule.topic('a', { retentionMs: '1h' })
    for (const text of numbered(25)) await rule.append(topic, text)
    await clock.advance(60_000)
    clock.jumpWall(56 * 365 * 86_400_000)
    // The pass that looks at retention runs every five minutes.
    await clock.advance(9 * 60_000)
    expect((await topic.partition(0).offsets()).logStart).toBe(0)
    // A clock that has agreed with itself for long enough is believed.
    await clock.advance(30 * 60_000)
    expect((await topic.partition(0).offsets()).logStart).toBeGreaterThan(0)
  })
})
