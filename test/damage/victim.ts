/**
 * A small store that is damaged in every way, and the judge of what a damaged copy answers.
 *
 * Holds    Allowed are the same records, or a report: a VarveError, or a warning of the recovery, or a finding of
 *          `verify`. A wrong record, a missing one without a report, an acknowledged offset given again, another kind
 *          of error and a hang are not.
 */
import { simulatedFileSystem, type SimulatedFileSystem } from '../../src/base/memory-file-system.ts'
import { TUNING, type TunableOpenOptions } from '../../src/options.ts'
import { openStore, VarveError, type LogRecord, type Partition, type Store } from '../../src/varve.ts'
import { seededRandom, testClock } from '../../src/testing.ts'

type Raw = LogRecord<Uint8Array | null, Uint8Array>

/** What a whole store answers. */
interface Truth {
  readonly topic: string
  readonly partition: number
  readonly logStart: number
  readonly records: readonly string[]
  readonly offsets: readonly number[]
  readonly timestamps: readonly number[]
  readonly logEnd: number
  /** Records that were removed before: none of them may come back without a report. */
  readonly deleted: readonly string[]
}

export interface Victim {
  /** Closed in order, or as a killed process leaves it. */
  readonly image: SimulatedFileSystem
  readonly truth: readonly Truth[]
}

export type Verdict = 'same' | 'reported'

const START = Date.UTC(2026, 0, 1)
const ROOT = '/s'
const BYTES = new TextEncoder()

function options(fileSystem: SimulatedFileSystem): TunableOpenOptions & { readonly mode?: 'read-write' } {
  const journal = { fileBytes: 16 * 1024, fileCount: 3 }
  const tuning = { journal, groupBytes: 1024, directGroupBytes: 500 }
  return { fileSystem, clock: testClock(START), random: seededRandom(11), [TUNING]: tuning }
}

/** Two topics, five segments: plain and compressed, groups of one record and of many, direct and by the journal. */
export async function makeVictim(end: 'closed' | 'killed'): Promise<Victim> {
  const fileSystem = simulatedFileSystem()
  const store = await openStore(ROOT, options(fileSystem))
  const plain = await store.topic('alpha', {
    create: 'must',
    config: { segmentBytes: 420, indexIntervalBytes: 100 },
  })
  const packed = await store.topic('beta', {
    create: 'must',
    config: { segmentBytes: 320, compressionType: 'gzip', indexIntervalBytes: 0 },
  })
  const record = (
    n: number,
  ): { key: Uint8Array; value: Uint8Array | null; timestamp: number; headers: { h: string } } => ({
    key: BYTES.encode(`key${n % 5}`),
    value: n % 7 === 6 ? null : BYTES.encode(`value ${n} `.repeat(1 + (n % 4))),
    timestamp: START - 1000 + n * 10 - (n % 3) * 25,
    headers: { h: `${n}` },
  })
  for (let n = 0; n < 6; n += 3) {
    await plain.append(record(n))
    await plain.appendMany([record(n + 1), record(n + 2)])
    await packed.appendMany([record(n), record(n + 1), record(n + 2)])
  }
  // Large enough to be synced in the segment.
  await plain.appendMany([record(6), { ...record(7), value: BYTES.encode('direct '.repeat(30)) }])
  await plain.append(record(8))
  await packed.append(record(6), { durability: 'os' })
  await packed.append(record(7))
  const whole = await truthOf(plain.partition(0), 'alpha')
  await plain.partition(0).deleteBefore(2)
  // The last entries of a journal cannot be told from torn ones (J6); what they hold stands in the segments too.
  for (let n = 8; n < 13; n++) await packed.append(record(n))
  for (let turn = 0; turn < 50; turn++) await Promise.resolve()
  const truth = [
    { ...(await truthOf(plain.partition(0), 'alpha')), deleted: whole.records.slice(0, 2) },
    await truthOf(packed.partition(0), 'beta'),
  ]
  if (end === 'closed') await store.close()
  return { image: fileSystem.crashImage(0, 'none'), truth }
}

async function truthOf(partition: Partition<Uint8Array | null, Uint8Array>, topic: string): Promise<Truth> {
  const { logStart, logEnd } = await partition.offsets()
  const records: Raw[] = []
  for (let offset = logStart; offset < logEnd; offset++) records.push((await partition.at(offset))!)
  return {
    topic,
    partition: partition.index,
    logStart,
    logEnd,
    records: records.map(shown),
    offsets: records.map((record) => record.offset),
    timestamps: records.map((record) => record.timestamp),
    deleted: [],
  }
}

/** Every file of an image but the lock, with its bytes. */
export function filesOf(image: SimulatedFileSystem): Map<string, Uint8Array<ArrayBuffer>> {
  const files = new Map<string, Uint8Array<ArrayBuffer>>()
  const walk = (directory: string): void => {
    for (const { name, kind } of image.listSync(directory)) {
      const path = `${directory}/${name}`
      if (kind === 'directory') walk(path)
      else if (path !== `${ROOT}/varve/lock`) files.set(path, bytesOf(image, path))
    }
  }
  walk(ROOT)
  return files
}

function bytesOf(image: SimulatedFileSystem, path: string): Uint8Array<ArrayBuffer> {
  const file = image.openSync(path, 'read')
  try {
    const bytes = new Uint8Array(file.sizeSync())
    file.readSync(bytes, 0)
    return bytes
  } finally {
    file.closeSync()
  }
}

/** Opens a damaged copy and asks it everything. Throws what no damage excuses. */
export async function judge(victim: Victim, damage: (copy: SimulatedFileSystem) => void): Promise<Verdict> {
  const copy = victim.image.crashImage(0, 'none')
  damage(copy)
  let store: Store
  try {
    store = await openStore(ROOT, options(copy))
  } catch (error) {
    return reported(error)
  }
  try {
    const seen = new Witness()
    if (store.recovery.warnings.length > 0) seen.report()
    for (const truth of victim.truth) await ask(store, truth, seen)
    if (seen.differences.length > 0 && !seen.isReported) await askVerify(store, seen)
    if (seen.differences.length > 0 && !seen.isReported) throw new Error(`unreported: ${seen.differences.join('; ')}`)
    return seen.isReported ? 'reported' : 'same'
  } finally {
    await store.close()
  }
}

class Witness {
  readonly differences: string[] = []
  isReported = false

  report(): void {
    this.isReported = true
  }

  /** Something is not as it was: allowed where it is reported. */
  differs(what: string): void {
    this.differences.push(what)
  }

  async hear<T>(work: Promise<T>): Promise<T | undefined> {
    try {
      return await work
    } catch (error) {
      reported(error)
      this.report()
      return undefined
    }
  }
}

async function ask(store: Store, truth: Truth, seen: Witness): Promise<void> {
  const topic = await seen.hear(store.topic(truth.topic))
  if (topic === undefined) return
  const partition = topic.partition(truth.partition)
  const marks = await seen.hear(partition.offsets())
  if (marks?.logStart !== truth.logStart) seen.differs(`log start ${marks?.logStart}`)
  if (marks?.logEnd !== truth.logEnd || marks.highWatermark !== truth.logEnd) seen.differs(`log end ${marks?.logEnd}`)
  await seen.hear(askRead(topic.read(), truth, seen))
  for (const [i, offset] of truth.offsets.entries()) {
    const record = await seen.hear(partition.at(offset))
    if (record !== undefined && shown(record) !== truth.records[i])
      throw new Error(`wrong record at ${offset}: ${shown(record)}`)
    if (record === undefined) seen.differs(`nothing at ${offset}`)
  }
  await askTimes(partition, truth, seen)
  const receipt = await seen.hear(topic.append({ key: null, value: BYTES.encode('new') }))
  if (receipt !== undefined && receipt.offset < truth.logEnd)
    throw new Error(`offset ${receipt.offset} of ${truth.topic} was given again, its end was ${truth.logEnd}`)
}

async function askRead(read: AsyncIterable<Raw>, truth: Truth, seen: Witness): Promise<void> {
  let count = 0
  for await (const record of read) {
    const place = truth.offsets.indexOf(record.offset)
    if (truth.deleted[record.offset] === shown(record)) {
      seen.differs(`deleted record ${record.offset} is back`)
      continue
    }
    if (place === -1 || shown(record) !== truth.records[place]) throw new Error(`wrong record read: ${shown(record)}`)
    if (place !== count) seen.differs(`read jumped to ${record.offset}`)
    count = place + 1
  }
  if (count !== truth.records.length) seen.differs(`read ended after ${count} records`)
}

async function askTimes(
  partition: Partition<Uint8Array | null, Uint8Array>,
  truth: Truth,
  seen: Witness,
): Promise<void> {
  const times = [...truth.timestamps.filter((_, i) => i % 4 === 0), 0, START * 2]
  for (const time of times) {
    const place = truth.timestamps.findIndex((other) => other >= time)
    const before = seen.isReported
    seen.isReported = false
    const found = await seen.hear(partition.offsetForTime(time))
    const failed = seen.isReported
    seen.isReported ||= before
    if (found !== undefined) {
      const real = truth.offsets.indexOf(found.offset)
      const isReal = truth.timestamps[real] === found.timestamp || found.offset < truth.deleted.length
      if (!isReal || found.timestamp < time) throw new Error(`wrong offset for a time: ${found.offset}`)
    }
    if (!failed && found?.offset !== truth.offsets[place]) seen.differs(`time ${time} is at ${found?.offset}`)
  }
}

async function askVerify(store: Store, seen: Witness): Promise<void> {
  await seen.hear(
    (async () => {
      for await (const finding of store.verify({ deep: true })) if (finding.message !== '') seen.report()
    })(),
  )
}

/** A report is a VarveError that is no bug's. */
function reported(error: unknown): 'reported' {
  if (!VarveError.is(error) || error.code === 'INTERNAL') throw error
  return 'reported'
}

function shown({ offset, timestamp, key, value, headers }: Raw): string {
  const hex = (bytes: Uint8Array | null): string => (bytes === null ? 'null' : Buffer.from(bytes).toString('hex'))
  const list = headers.map(([name, bytes]) => `${name}=${hex(bytes)}`).join(',')
  return `${offset} ${timestamp} ${hex(key)} ${hex(value)} ${list}`
}
