/**
 * The key indexes of a store's sealed segments: made by every way to a seal, kept, and true to the log.
 */
import { beforeAll, expect, test } from 'vitest'
import type { SimulatedFileSystem } from '../../src/base/memory-file-system.ts'
import { errnoError } from '../../src/base/sim-errno.ts'
import { nodeFileSystem } from '../../src/base/node-file-system.ts'
import { initHashes } from '../../src/base/xxh64.ts'
import { ATTRIBUTES, BATCH_LENGTH, BEFORE_LENGTH, CRC, RECORDS } from '../../src/segment/batch-format.ts'
import { crc32c } from '../../src/base/crc32c.ts'
import { SidecarBuilder } from '../../src/segment/sidecar-builder.ts'
import { Sidecar } from '../../src/segment/sidecar.ts'
import { readIdentity } from '../../src/store-identity.ts'
import { storePaths } from '../../src/segment/segment-files.ts'
import { seededRandom } from '../../src/testing.ts'
import type { Finding, Store, TopicConfig } from '../../src/varve.ts'
import { collected } from '../support/collected.ts'
import { batches, KafkaDirectory, upTo } from '../support/kafka-directory.ts'
import { shapedRecords } from '../support/kafka-shapes.ts'
import { ProducedStore } from '../support/produced-store.ts'
import { atEveryChange, flipBit } from '../support/rule-store.ts'
import { expectKeys, keyLines, sidecarsIn, wholeFile } from '../support/sealed-keys.ts'
import { all, freshDirectory, raw, Simulated, text } from './rig.ts'

beforeAll(initHashes)

const LOG = '/s/log/t-0'

/** Records of seven keys, tombstones and records without a key among them. */
async function fill(store: Store, count: number, config: TopicConfig = {}, shift = 0): Promise<void> {
  const topic = await store.topic('t', { create: 'if-missing', config: { segmentBytes: '4KiB', ...config } })
  for (let n = 0; n < count; n += 5) {
    await topic.appendMany(
      Array.from({ length: 5 }, (_, i) => ({
        key: (n + i) % 6 === 5 ? null : raw(`key ${(n + i + shift) % 7}`),
        value: (n + i) % 11 === 10 ? null : raw(`value ${n + i} `.repeat(8)),
      })),
    )
  }
}

async function valuesOf(store: Store): Promise<(string | null)[]> {
  return (await all((await store.topic('t')).read())).map(({ value }) => text(value))
}

function unfinishedIn(fs: SimulatedFileSystem): string[] {
  return fs
    .listSync(LOG)
    .map(({ name }) => name)
    .filter((name) => name.endsWith('.varve.tmp'))
}

const summary = ({ code, path }: Finding): string => `${code} ${path}`

for (const compressionType of ['none', 'gzip', 'zstd'] as const) {
  test(`every record with a key is in it, ${compressionType}`, async () => {
    const place = new Simulated()
    const store = await place.open()
    await fill(store, 400, { compressionType, segmentBytes: compressionType === 'none' ? '4KiB' : '1KiB' })
    await place.clock.advance(1000)
    const { sidecars, entries } = expectKeys(place.fileSystem, LOG)
    expect(sidecars).toBeGreaterThan(2)
    expect(entries).toBeGreaterThan(sidecars * 5)
    expect(await collected(store.verify({ deep: true }))).toEqual([])
    await store.close()
  })
}

test('without a key map too, and where no record has a key it says so', async () => {
  const place = new Simulated()
  const store = await place.open()
  await fill(store, 100, { keyMap: false })
  const plain = await store.topic('plain', { create: 'if-missing', config: { segmentBytes: '1KiB' } })
  for (let n = 0; n < 50; n++) await plain.append({ key: null, value: raw('x'.repeat(100)) })
  await place.clock.advance(1000)
  expect(expectKeys(place.fileSystem, LOG).entries).toBeGreaterThan(30)
  expect(expectKeys(place.fileSystem, '/s/log/plain-0')).toMatchObject({ entries: 0 })
  const path = sidecarsIn(place.fileSystem, '/s/log/plain-0')[0]!
  expect(keyLines(place.fileSystem, path)).toEqual([])
  await store.close()
})

test('aborted and superseded records are in it, and markers are not', async () => {
  const directory = freshDirectory()
  const produced = await ProducedStore.open(directory)
  await produced.store.topic('t', { create: 'if-missing', config: { segmentBytes: '16KiB' } })
  const producer = { producerId: 1, producerEpoch: 0, isTransactional: true }
  for (let n = 0, baseSequence = 0; n < 12; n++, baseSequence += 10) {
    await produced.produce('t', { ...producer, baseSequence }, shapedRecords(n, 10, true))
    await produced.end('t', { ...producer, coordinatorEpoch: 0, commit: n % 3 !== 0, timestamp: 1_700_000_000_000 })
  }
  await produced.store.close()
  const log = `${directory}/log/t-0`
  const fs = nodeFileSystem()
  const { sidecars, entries } = expectKeys(fs, log)
  const { recordCount, batchCount } = sidecarsIn(fs, log)
    .map((path) => Sidecar.decode(wholeFile(fs, path), path)!.summary)
    .reduce((sum, each) => ({
      ...each,
      recordCount: sum.recordCount + each.recordCount,
      batchCount: sum.batchCount + each.batchCount,
    }))
  expect(sidecars).toBeGreaterThan(1)
  // Every batch of records has a marker behind it, which is a record without a place in the index.
  expect(recordCount - entries).toBeGreaterThanOrEqual(Math.floor(batchCount / 2))
  expect(recordCount - entries).toBeLessThanOrEqual(Math.ceil(batchCount / 2))
})

test('close, reopen and a crash keep it; what a crash left unsealed gets it', async () => {
  const place = new Simulated()
  const store = await place.open()
  await fill(store, 200)
  await place.clock.advance(1000)
  const before = sidecarsIn(place.fileSystem, LOG).map((path) => [path, wholeFile(place.fileSystem, path)])
  await store.close()
  const again = await place.open()
  expect(sidecarsIn(place.fileSystem, LOG).map((path) => [path, wholeFile(place.fileSystem, path)])).toEqual(before)
  await fill(again, 100)
  // All of them must be made again, from the data files.
  for (const path of sidecarsIn(place.fileSystem, LOG)) place.fileSystem.unlinkSync(path)
  await place.fileSystem.syncDirectory(LOG)
  place.fileSystem.crash(3)
  const killed = await place.open()
  await place.clock.advance(1000)
  expect(expectKeys(place.fileSystem, LOG).sidecars).toBeGreaterThan(before.length)
  expect(await collected(killed.verify({ deep: true }))).toEqual([])
  await killed.close()
})

for (const errno of ['EMFILE', 'ENOSPC'] as const) {
  test(`a seal that finds no room is done later: ${errno}`, async () => {
    const place = new Simulated()
    const store = await place.open()
    const topic = await store.topic('t', { create: 'must', config: { segmentBytes: '4KiB' } })
    let failed = 0
    place.fileSystem.onOperation(({ kind, path, phase }) => {
      if (kind !== 'create' || phase !== 'before' || !path.endsWith('.varve.tmp') || failed++ > 0) return
      throw errnoError(errno, 'open', path)
    })
    for (let n = 0; n < 4; n++) await topic.append({ key: raw(`key ${n}`), value: raw('x'.repeat(1000)) })
    await place.clock.advance(1000)
    expect([failed, sidecarsIn(place.fileSystem, LOG)]).toEqual([1, []])
    await place.clock.advance(20_000)
    expect(expectKeys(place.fileSystem, LOG)).toEqual({ sidecars: 1, entries: 3 })
    expect((await topic.append({ key: null, value: raw('on') })).offset).toBe(4)
    await store.close()
  })
}

test('a crash at any step of a seal leaves a whole one or none', async () => {
  const place = new Simulated()
  const store = await place.open()
  const images: SimulatedFileSystem[] = []
  await atEveryChange(
    place.fileSystem,
    ({ number }) => images.push(place.fileSystem.crashImage(number)),
    async () => {
      await fill(store, 60)
      await place.clock.advance(1000)
    },
  )
  expect(images.length).toBeGreaterThan(30)
  for (const [i, fileSystem] of images.entries()) {
    if (i % 4 !== 0 || fileSystem.statSync(LOG) === undefined) continue
    const killed = await place.open({ fileSystem })
    await place.clock.advance(1000)
    expectKeys(fileSystem, LOG)
    expect(unfinishedIn(fileSystem)).toEqual([])
    await killed.close()
  }
})

/** A directory of Kafka with topic `t`, two of whose segments are full. */
async function kafkaDirectory(): Promise<KafkaDirectory> {
  const kafka = new KafkaDirectory()
  await kafka.partition('t-0', {
    segments: {
      0: batches({ offsets: upTo(0, 20) }, { offsets: [23, 25], range: [20, 29] }),
      30: batches({ offsets: upTo(30, 60) }, { offsets: [60], marker: true }),
    },
  })
  await kafka.checkpoint('recovery-point-offset-checkpoint', ['t 0 61'])
  return kafka.finish(true)
}

test('a log that Kafka wrote gets it when it is taken over, under the secret of the store that comes of it', async () => {
  const place = new Simulated()
  const { fs } = await kafkaDirectory()
  const images: SimulatedFileSystem[] = []
  let store: Store | undefined
  await atEveryChange(
    fs,
    ({ number }) => images.push(fs.crashImage(number)),
    async () => (store = await place.open({ fileSystem: fs, adopt: true, random: seededRandom(100) })),
  )
  expect(expectKeys(fs, LOG)).toEqual({ sidecars: 2, entries: 52 })
  expect(await collected(store!.verify({ deep: true }))).toEqual([])
  const begun = images.filter((image) => image.statSync('/s/varve/adopting') !== undefined)
  expect(begun.length).toBeGreaterThan(20)
  for (const [i, image] of begun.entries()) {
    const next = await place.open({ fileSystem: image, random: seededRandom(i) })
    expect(expectKeys(image, LOG)).toEqual({ sidecars: 2, entries: 52 })
    await next.close()
  }
})

test('the secret is in no sidecar', async () => {
  const place = new Simulated()
  const store = await place.open()
  await fill(store, 100)
  await place.clock.advance(1000)
  const { hashKey } = readIdentity(place.fileSystem, storePaths('/s'))!
  for (const path of sidecarsIn(place.fileSystem, LOG))
    expect(Buffer.from(wholeFile(place.fileSystem, path)).includes(Buffer.from(hashKey))).toBe(false)
  await store.close()
})

/** Puts bytes in the place of a file's, durably. */
async function rewrite(fs: SimulatedFileSystem, path: string, bytes: Uint8Array): Promise<void> {
  const file = fs.openSync(path, 'write')
  file.truncateSync(0)
  file.writeSync(bytes, 0)
  await file.syncData()
  file.closeSync()
}

test('records that make no sense under a right checksum leave a segment unsealed', async () => {
  const place = new Simulated()
  const { fs } = await kafkaDirectory()
  const [path, other] = [0, 30].map((base) => `${LOG}/${String(base).padStart(20, '0')}.varve`) as [string, string]
  const log = path.replace('/log/', '/').replace(/varve$/, 'log')
  const bytes = Buffer.from(wholeFile(fs, log))
  const end = bytes.readInt32BE(BATCH_LENGTH) + BEFORE_LENGTH
  bytes[RECORDS] = 0x7f
  bytes.writeUInt32BE(crc32c(bytes, ATTRIBUTES, end), CRC)
  await rewrite(fs, log, bytes)
  const store = await place.open({ fileSystem: fs, adopt: true })
  await place.clock.advance(1000)
  expect(fs.statSync(path)).toBeUndefined()
  expect(unfinishedIn(fs)).toEqual([])
  expect(keyLines(fs, other)).toHaveLength(30)
  expect((await (await store.topic('t')).append({ key: null, value: raw('on') })).offset).toBe(61)
  await store.close()
})

/** The sidecar of a segment as an older version wrote it: without a key index. */
function withoutKeys(fs: SimulatedFileSystem, path: string): Uint8Array {
  const sidecar = Sidecar.decode(wholeFile(fs, path), path)!
  const { baseOffset, nextOffset, sealedAt, cleanedUpTo, startedAt } = sidecar.summary
  const builder = new SidecarBuilder(baseOffset)
  const log = Buffer.from(wholeFile(fs, path.replace(/varve$/, 'log')))
  for (let at = 0, size = 0; at < log.length; at += size) {
    size = log.readInt32BE(at + BATCH_LENGTH) + BEFORE_LENGTH
    const base = Number(log.readBigInt64BE(at))
    const last = base + log.readInt32BE(at + 23)
    builder.addBatch(base, last, Number(log.readBigInt64BE(at + 35)), at, size, log.readInt32BE(at + 57), 0)
  }
  builder.addBytes(log)
  const { header, tail } = builder.finish({
    nextOffset,
    sealedAt,
    cleanedUpTo,
    revisitMs: null,
    startedAt,
    offsetIndex: wholeFile(fs, path.replace(/varve$/, 'index')),
    timeIndex: wholeFile(fs, path.replace(/varve$/, 'timeindex')),
    transactionIndex: new Uint8Array(0),
  })
  return Buffer.concat([header, tail])
}

test('an older sidecar without it stays valid', async () => {
  const place = new Simulated()
  const store = await place.open()
  await fill(store, 100)
  await place.clock.advance(1000)
  const values = await valuesOf(store)
  await store.close()
  const path = sidecarsIn(place.fileSystem, LOG)[0]!
  const old = withoutKeys(place.fileSystem, path)
  await rewrite(place.fileSystem, path, old)
  const again = await place.open()
  await place.clock.advance(1000)
  expect(await valuesOf(again)).toEqual(values)
  expect(await collected(again.verify({ deep: true }))).toEqual([])
  expect(keyLines(place.fileSystem, path)).toBeUndefined()
  place.fileSystem.crash(1)
  const killed = await place.open()
  await place.clock.advance(1000)
  expect(Buffer.compare(wholeFile(place.fileSystem, path), old)).toBe(0)
  await killed.close()
})

test('a flipped bit anywhere in a sidecar is found, and no record is lost by it', async () => {
  const place = new Simulated()
  const store = await place.open()
  await fill(store, 60)
  await place.clock.advance(1000)
  const values = await valuesOf(store)
  await store.close()
  const path = sidecarsIn(place.fileSystem, LOG)[0]!
  const { length } = wholeFile(place.fileSystem, path)
  for (let at = 0; at < length; at += 7) {
    await flipBit(place.fileSystem, path, at)
    const opened = await place.open()
    const found = (await collected(opened.verify())).map(summary)
    if (!found.includes(`CORRUPT ${path.slice(3)}`) && !found.includes(`VERSION_UNSUPPORTED ${path.slice(3)}`))
      expect.fail(`byte ${at}: ${found.join()}`)
    expect(await valuesOf(opened)).toEqual(values)
    await opened.close()
    await flipBit(place.fileSystem, path, at)
  }
})

/** Puts the first sidecar of another store, whose records have other keys, in the place of one; what a check finds. */
async function findingsWithOther(seed: number, deep: boolean): Promise<Finding[]> {
  const [place, other] = [new Simulated(), new Simulated()]
  for (const [i, each] of [place, other].entries()) {
    const store = await each.open({ random: seededRandom(i === 0 ? 7 : seed) })
    await fill(store, 100, {}, i)
    await each.clock.advance(1000)
    await store.close()
  }
  const path = sidecarsIn(place.fileSystem, LOG)[0]!
  await rewrite(place.fileSystem, path, wholeFile(other.fileSystem, path))
  const opened = await place.open()
  const findings = await collected(opened.verify({ deep }))
  await opened.close()
  return findings.filter((finding) => finding.path === path.slice(3))
}

test('a deep check finds a key index that is whole and not that of its log', async () => {
  expect(await findingsWithOther(7, false)).toEqual([])
  expect((await findingsWithOther(7, true)).map(({ code, message }) => `${code} ${message}`)).toEqual([
    expect.stringMatching(/^CORRUPT .* has a key index of \d+ entries that is not that of its log/),
  ])
  expect((await findingsWithOther(8, true)).map(({ code, message }) => `${code} ${message}`)).toEqual([
    expect.stringMatching(/^CORRUPT .* has a key index of another store/),
  ])
})
