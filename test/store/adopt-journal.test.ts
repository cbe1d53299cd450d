/**
 * A broker on the log of a store that had not been closed: what was acknowledged and stands only in the journal.
 */
import { beforeAll, describe, expect, test } from 'vitest'
import { SimulatedFileSystem } from '../../src/base/memory-file-system.ts'
import { initHashes } from '../../src/base/xxh64.ts'
import { TUNING, type TunableOpenOptions } from '../../src/options.ts'
import { seededRandom, testClock } from '../../src/testing.ts'
import { openStore, type Store } from '../../src/varve.ts'
import { batches, bytesOf, CLEAN_MARK, KafkaDirectory, topicIdOf, upTo } from '../support/kafka-directory.ts'
import { atEveryChange } from '../support/rule-store.ts'
import { all, raw, rejected, SMALL, text } from './rig.ts'

beforeAll(initHashes)

const LOG = '00000000000000000000.log'

function open(
  fs: SimulatedFileSystem,
  more: TunableOpenOptions & { readonly mode?: 'read-write' } = {},
): Promise<Store> {
  return openStore('/s', { fileSystem: fs, clock: testClock(), random: seededRandom(3), [TUNING]: SMALL, ...more })
}

async function textsOf(store: Store, name: string): Promise<(string | null)[]> {
  return (await all((await store.topic(name)).read())).map(({ value }) => text(value))
}

/**
 * A power loss: of `topics` only what was there when the store was opened the last time stands in the data files, and
 * all else in the journal. Then a broker ran, `served` what it did, and was stopped in order.
 */
async function killed(topics: readonly string[], served: (kafka: KafkaDirectory) => unknown): Promise<KafkaDirectory> {
  const fs = new SimulatedFileSystem()
  const first = await open(fs)
  for (const name of topics) await (await first.topic(name, { create: 'must' })).append({ value: raw('first') })
  await first.close()
  const files = new Map(topics.map((name) => [name, bytesOf(fs, `/s/log/${name}-0/${LOG}`)]))
  const store = await open(fs)
  for (const name of topics) {
    const topic = await store.topic(name)
    for (let i = 0; i < 20; i++) expect(await topic.append({ value: raw(`v${i}`) })).toMatchObject({ ack: 'disk' })
  }
  const kafka = new KafkaDirectory('/s', fs.crashImage(1, 'none'))
  for (const [name, bytes] of files) await kafka.file(`log/${name}-0/${LOG}`, bytes)
  await served(kafka)
  await kafka.file('log/.kafka_cleanshutdown', CLEAN_MARK)
  return kafka
}

const ALL = ['first', ...upTo(0, 20).map((i) => `v${i}`)]

async function appended(kafka: KafkaDirectory, topic: string, offset: number): Promise<void> {
  const name = `log/${topic}-0/${LOG}`
  const theirs = batches({ offsets: [offset], epoch: 0 })
  await kafka.file(name, Buffer.concat([bytesOf(kafka.fs, `/s/${name}`), theirs]))
}

describe('what stands only in the journal', () => {
  test('is brought into the logs in which the broker has not written', async () => {
    const kafka = await killed(['ours'], () => undefined)
    expect((await rejected('INVALID_OPTION', open(kafka.fs))).message).toMatch(/had not been closed/)
    const store = await open(kafka.fs, { adopt: true })
    expect(await textsOf(store, 'ours')).toEqual(ALL)
    expect(store.recovery.warnings).toEqual([])
    expect(kafka.fs.statSync('/s/varve/quarantine')).toBeUndefined()
    const after = await open(kafka.fs.crashImage(1, 'none').crashWith(() => false))
    expect(await textsOf(after, 'ours')).toEqual(ALL)
  })

  test('is told and kept where the broker has written in its place', async () => {
    const kafka = await killed(['ours', 'other'], (broker) => appended(broker, 'other', 1))
    const journal = kafka.fs
      .listSync('/s/varve/journal')
      .map(({ name }) => bytesOf(kafka.fs, `/s/varve/journal/${name}`))
    const store = await open(kafka.fs, { adopt: true })
    expect(await textsOf(store, 'ours')).toEqual(ALL)
    expect((await textsOf(store, 'other')).length).toBe(2)
    expect(store.recovery.warnings).toEqual([
      expect.stringMatching(/^other\/0: offsets 1 to 20 .*varve\/quarantine\.$/),
    ])
    const [kept] = kafka.fs.listSync('/s/varve/quarantine').map(({ name }) => `/s/varve/quarantine/${name}`)
    expect(kafka.fs.listSync(kept!).map(({ name }) => bytesOf(kafka.fs, `${kept}/${name}`))).toEqual(journal)
  })

  test('is told and kept where the broker has made the topic anew', async () => {
    const kafka = await killed(['ours'], async (broker) => {
      for (const { name } of broker.fs.listSync('/s/log/ours-0')) broker.fs.unlinkSync(`/s/log/ours-0/${name}`)
      await broker.partition('log/ours-0', { segments: { 0: new Uint8Array(0) }, topicId: topicIdOf('ours-0') })
      await broker.checkpoint('log/recovery-point-offset-checkpoint', ['ours 0 0'])
    })
    const store = await open(kafka.fs, { adopt: true })
    expect(store.recovery.warnings).toEqual([
      expect.stringMatching(/^ours has the topic id/),
      expect.stringMatching(/^ours\/0: offsets 1 to 20 .*varve\/quarantine\.$/),
    ])
    expect(await textsOf(store, 'ours')).toEqual([])
    expect(kafka.fs.listSync('/s/varve/quarantine').length).toBe(1)
  })

  test('is not needed where the data files hold it, and the broker wrote behind', async () => {
    const fs = new SimulatedFileSystem()
    const killedStore = await open(fs)
    const topic = await killedStore.topic('ours', { create: 'must' })
    for (const value of ALL) await topic.append({ value: raw(value) })
    await killedStore.flush()
    const kafka = new KafkaDirectory('/s', fs.crashImage(1, 'none'))
    await appended(kafka, 'ours', 21)
    await kafka.file('log/.kafka_cleanshutdown', CLEAN_MARK)
    const store = await open(kafka.fs, { adopt: true })
    expect((await textsOf(store, 'ours')).slice(0, 21)).toEqual(ALL)
    expect(store.recovery).toMatchObject({ warnings: [], truncatedBytes: 0 })
    expect((await (await store.topic('ours')).partition(0).offsets()).logEnd).toBe(22)
  })

  test('knows what was deleted from the front', async () => {
    const fs = new SimulatedFileSystem()
    const killedStore = await open(fs)
    const topic = await killedStore.topic('ours', { create: 'must' })
    for (const value of ALL) await topic.append({ value: raw(value) })
    await topic.partition(0).deleteBefore(7)
    await killedStore.flush()
    const kafka = new KafkaDirectory('/s', fs.crashImage(1, 'none'))
    await kafka.file('log/.kafka_cleanshutdown', CLEAN_MARK)
    const store = await open(kafka.fs, { adopt: true })
    expect(await textsOf(store, 'ours')).toEqual(ALL.slice(7))
  })

  test('a journal that is blank is told', async () => {
    const kafka = await killed(['ours'], ({ fs }) => {
      for (const { name } of fs.listSync('/s/varve/journal')) fs.unlinkSync(`/s/varve/journal/${name}`)
    })
    const store = await open(kafka.fs, { adopt: true })
    expect(store.recovery.warnings).toEqual([expect.stringMatching(/had not been closed, and .*journal is blank/)])
  })

  for (const how of ['power', 'the process'] as const) {
    test(`a crash at any step, of ${how}: the next open ends with the same`, async () => {
      const { fs } = await killed(['ours', 'other'], (kafka) => appended(kafka, 'other', 1))
      const images: SimulatedFileSystem[] = []
      const take = (n: number): SimulatedFileSystem =>
        how === 'power' ? fs.crashImage(n * 13) : fs.crashImage(n, 'none')
      await atEveryChange(
        fs,
        () => images.push(take(images.length)),
        () => open(fs, { adopt: true }),
      )
      expect(images.length).toBeGreaterThan(30)
      for (const image of images) {
        const store = await open(image, { adopt: true })
        expect(await textsOf(store, 'ours')).toEqual(ALL)
        expect((await textsOf(store, 'other')).length).toBe(2)
        const kept = image.listSync('/s/varve/quarantine').filter(({ name }) => name.startsWith('journal.'))
        expect(kept.length).toBe(1)
        await store.close()
      }
    })
  }
})
