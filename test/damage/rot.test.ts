import { describe, expect, it } from 'vitest'
import { simulatedFileSystem, type SimulatedFileSystem } from '../../src/base/memory-file-system.ts'
import { TUNING, type TunableOpenOptions } from '../../src/options.ts'
import { defineTopic, openStore, utf8, VarveError, type Store } from '../../src/varve.ts'
import { seededRandom, testClock } from '../../src/testing.ts'

const Lines = defineTopic('lines', { value: utf8() })
const RECORDS = 60
const DIRECTORY = '/s/log/lines-0'

function open(fileSystem: SimulatedFileSystem, journalBytes = 64 * 1024): Promise<Store> {
  const options: TunableOpenOptions & { readonly mode?: 'read-write' } = {
    fileSystem,
    clock: testClock(),
    random: seededRandom(5),
    [TUNING]: { journal: { fileBytes: journalBytes, fileCount: 3 }, groupBytes: 16 * 1024 },
  }
  return openStore('/s', options)
}

/** A log of six segments, closed in order or as a killed process leaves it. */
async function filled(
  end: 'closed' | 'killed',
  compressionType: 'none' | 'zstd' = 'none',
): Promise<SimulatedFileSystem> {
  const fileSystem = simulatedFileSystem()
  const store = await open(fileSystem)
  const config = { segmentBytes: compressionType === 'none' ? 2000 : 700, indexIntervalBytes: 300, compressionType }
  const topic = await store.topic(Lines, { create: 'must', config })
  for (let n = 0; n < RECORDS; n += 2)
    await topic.appendMany([0, 1].map((m) => ({ value: `record ${n + m} `.padEnd(80, '.'), timestamp: 1000 + n + m })))
  for (let turn = 0; turn < 200; turn++) await Promise.resolve()
  if (end === 'closed') await store.close()
  return fileSystem.crashImage(0, 'none')
}

function dataFiles(fileSystem: SimulatedFileSystem): string[] {
  const names = fileSystem.listSync(DIRECTORY).map((entry) => entry.name)
  return names.filter((name) => name.endsWith('.log')).sort()
}

function overwrite(fileSystem: SimulatedFileSystem, path: string, position: number, bytes: Uint8Array): void {
  const file = fileSystem.openSync(path, 'write')
  file.writeSync(bytes, position)
  file.closeSync()
}

function sizeOf(fileSystem: SimulatedFileSystem, path: string): number {
  return fileSystem.statSync(path)!.size
}

/** Size of the first batch of a data file. */
function batchBytes(fileSystem: SimulatedFileSystem, path: string): number {
  const file = fileSystem.openSync(path, 'read')
  const bytes = new Uint8Array(12)
  file.readSync(bytes, 0)
  file.closeSync()
  return 12 + new DataView(bytes.buffer).getInt32(8)
}

/** What `at` says of each offset: right, or the error. */
async function askAll(store: Store): Promise<(true | VarveError<'CORRUPT'>)[]> {
  const partition = (await store.topic(Lines)).partition(0)
  const answers: (true | VarveError<'CORRUPT'>)[] = []
  for (let offset = 0; offset < RECORDS; offset++) {
    try {
      const record = await partition.at(offset)
      expect([record?.offset, record?.value]).toEqual([offset, `record ${offset} `.padEnd(80, '.')])
      answers.push(true)
    } catch (error) {
      if (!VarveError.is(error, 'CORRUPT')) throw error
      answers.push(error)
    }
  }
  return answers
}

describe('rot in a segment', () => {
  for (const end of ['closed', 'killed'] as const) {
    for (const compressionType of ['none', 'zstd'] as const) {
      it(`of a store ${end} (${compressionType}) is CORRUPT with its place; all other offsets are served`, async () => {
        const whole = await filled(end, compressionType)
        const names = dataFiles(whole)
        expect(names.length).toBeGreaterThan(3)
        for (const [i, name] of names.entries()) {
          const path = `${DIRECTORY}/${name}`
          const size = sizeOf(whole, path)
          for (const share of [0.1, 0.5, 0.9]) {
            const copy = whole.crashImage(0, 'none')
            const position = Math.floor(size * share)
            overwrite(copy, path, position, new Uint8Array([0xde, 0xad, 0xbe, 0xef]))
            const store = await open(copy)
            const answers = await askAll(store)
            const wrong = answers.flatMap((answer) => (answer === true ? [] : [answer]))
            // The journal may have healed it; what it did not is one batch, told with its place.
            expect(wrong.length).toBeLessThanOrEqual(2)
            if (end === 'closed') expect(wrong.length).toBe(2)
            for (const error of wrong) {
              expect(error.details).toMatchObject({ path, topic: 'lines', partition: 0 })
              expect(error.details.offset).toBeLessThan(RECORDS)
              expect(Math.abs(error.details.position! - position)).toBeLessThan(400)
              expect(error.message).toContain(path)
            }
            await reads(store, answers)
            expect(sizeOf(copy, path)).toBe(size)
            const receipt = await (await store.topic(Lines)).append({ value: 'goes on' })
            expect(receipt.offset).toBe(RECORDS)
            await store.close()
            expect(i).toBeLessThan(names.length)
          }
        }
      })
    }
  }

  it('in a base offset, which no checksum covers, costs that batch at most, and no later segment', async () => {
    for (const end of ['closed', 'killed'] as const) {
      const whole = await filled(end)
      for (const name of dataFiles(whole)) {
        const path = `${DIRECTORY}/${name}`
        for (const batch of [0, 1, 2]) {
          for (const byte of [1, 3, 4, 6, 7]) {
            const copy = whole.crashImage(0, 'none')
            // Batches of two records are of one size but for the digits of their offsets.
            const position = batch * Math.floor(batchBytes(copy, path)) + byte
            if (position >= sizeOf(copy, path)) continue
            overwrite(copy, path, position, new Uint8Array([0x5a]))
            const store = await open(copy)
            const wrong = (await askAll(store)).filter((answer) => answer !== true)
            expect(wrong.length).toBeLessThanOrEqual(2)
            expect(copy.statSync('/s/varve/quarantine')).toBeUndefined()
            await store.close()
          }
        }
      }
    }
  })

  it('over many batches leaves what lies before and behind', async () => {
    const fileSystem = await filled('closed')
    const path = `${DIRECTORY}/${dataFiles(fileSystem)[1]!}`
    overwrite(fileSystem, path, 300, new Uint8Array(900).fill(7))
    const store = await open(fileSystem)
    const answers = await askAll(store)
    const wrong = answers.flatMap((answer, offset) => (answer === true ? [] : [offset]))
    expect(wrong.length).toBeGreaterThan(4)
    expect(wrong.length).toBeLessThan(16)
    expect(wrong.at(-1)! - wrong[0]! + 1).toBe(wrong.length)
    await reads(store, answers)
    await store.close()
  })

  it('that took a whole file is CORRUPT for its offsets only, and for no others', async () => {
    for (const end of ['closed', 'killed'] as const) {
      for (const way of ['deleted', 'emptied', 'zeros'] as const) {
        const fileSystem = await filled(end)
        const path = `${DIRECTORY}/${dataFiles(fileSystem)[1]!}`
        const size = sizeOf(fileSystem, path)
        if (way === 'deleted') fileSystem.unlinkSync(path)
        else if (way === 'zeros') overwrite(fileSystem, path, 0, new Uint8Array(size))
        else {
          const file = fileSystem.openSync(path, 'write')
          file.truncateSync(0)
          file.closeSync()
        }
        const store = await open(fileSystem)
        const answers = await askAll(store)
        const wrong = answers.flatMap((answer, offset) => (answer === true ? [] : [offset]))
        if (end === 'closed') {
          expect(wrong.length).toBeGreaterThan(2)
          expect(wrong.length).toBeLessThan(20)
          if (way !== 'zeros') expect(store.recovery.warnings.join()).toMatch(/lines/)
        }
        await reads(store, answers)
        expect((await (await store.topic(Lines)).append({ value: 'goes on' })).offset).toBe(RECORDS)
        await store.close()
        // And the next open finds the same.
        const again = await open(fileSystem)
        expect((await askAll(again)).map((answer) => answer === true)).toEqual(answers.map((answer) => answer === true))
        await again.close()
      }
    }
  })
})

/** A read gets everything up to the first damage and then says so; behind it it starts again. */
async function reads(store: Store, answers: readonly (true | VarveError)[]): Promise<void> {
  const topic = await store.topic(Lines)
  let from = 0
  while (from < RECORDS) {
    const damage = answers.findIndex((answer, offset) => offset >= from && answer !== true)
    const seen: number[] = []
    let failed: unknown
    try {
      for await (const record of topic.read({ from, until: RECORDS })) seen.push(record.offset)
    } catch (error) {
      failed = error
    }
    const end = damage === -1 ? RECORDS : damage
    expect(seen).toEqual(Array.from({ length: end - from }, (_, n) => from + n))
    if (damage === -1) {
      expect(failed).toBeUndefined()
      return
    }
    expect(VarveError.is(failed, 'CORRUPT')).toBe(true)
    from = damage
    while (from < RECORDS && answers[from] !== true) from++
  }
}

describe('a torn tail', () => {
  it('above the frontier is cut into quarantine and counted', async () => {
    const fileSystem = simulatedFileSystem()
    const store = await open(fileSystem)
    const topic = await store.topic(Lines, { create: 'must' })
    for (let n = 0; n < 10; n++) await topic.append({ value: `kept ${n}` })
    for (let turn = 0; turn < 50; turn++) await Promise.resolve()
    const path = `${DIRECTORY}/${'0'.repeat(20)}.log`
    const durable = sizeOf(fileSystem, path)
    for (let n = 0; n < 5; n++) await topic.append({ value: `os ${n}` }, { durability: 'os' })
    const size = sizeOf(fileSystem, path)
    const step = (size - durable) / 5
    for (const [position, kept] of [
      [durable + 10, 0],
      [durable + step + 30, 1],
      [size - 1, 4],
    ] as const) {
      const copy = fileSystem.crashImage(0, 'none')
      overwrite(copy, path, position, new Uint8Array([0xff]))
      const again = await open(copy)
      const cut = size - durable - kept * step
      expect(again.recovery).toMatchObject({ clean: false, truncatedBytes: cut })
      const lines = await again.topic(Lines)
      const values: (string | null)[] = []
      for await (const record of lines.read()) values.push(record.value)
      expect(values).toHaveLength(10 + kept)
      const quarantined = copy.listSync('/s/varve/quarantine')
      expect(quarantined).toHaveLength(1)
      expect(sizeOf(copy, `/s/varve/quarantine/${quarantined[0]!.name}`)).toBe(cut)
      expect((await lines.append({ value: 'next' })).offset).toBe(10 + kept)
      await again.close()
      const third = await open(copy)
      expect(third.recovery).toMatchObject({ clean: true, truncatedBytes: 0 })
      await third.close()
    }
    await store.close()
  })

  it('of junk behind a whole log goes the same way', async () => {
    const whole = await filled('killed')
    const path = `${DIRECTORY}/${dataFiles(whole).at(-1)!}`
    for (const junk of [new Uint8Array(1), new Uint8Array(5000), seededRandom(2).bytes(777)]) {
      const copy = whole.crashImage(0, 'none')
      overwrite(copy, path, sizeOf(copy, path), junk)
      const store = await open(copy)
      expect(store.recovery.truncatedBytes).toBe(junk.length)
      expect((await askAll(store)).every((answer) => answer === true)).toBe(true)
      await store.close()
    }
  })
})
