/**
 * Log directories as a Kafka broker leaves them, made by hand on a simulated disk.
 *
 * Holds    What is written here is durable, as after a clean stop; a test that wants less writes more itself.
 */
import { createHash } from 'node:crypto'
import { SimulatedFileSystem } from '../../src/base/memory-file-system.ts'
import { CONTROL, RECORDS, TRANSACTIONAL } from '../../src/segment/batch-format.ts'
import { PLAIN_BATCH, writeEmptyBatch, type BatchFacts } from '../../src/segment/batch-builder.ts'
import { segmentFileName } from '../../src/segment/segment-files.ts'
import { buildBatch, text } from '../segment/batch-support.ts'

const START_MS = 1_700_000_000_000
const DIRECTORY_ID = 'AAAAAAAAAAEAAAAAAAAAAg'
const META = `version=1\ncluster.id=c\nnode.id=1\ndirectory.id=${DIRECTORY_ID}\n`
export const CLEAN_MARK = '{"version":0,"brokerEpoch":9}'

export interface KafkaBatch {
  /** Offsets of its records, rising; none: a batch that the cleaner emptied. */
  readonly offsets: readonly number[]
  /** Range of the batch; default that of its records. */
  readonly range?: readonly [first: number, last: number]
  readonly epoch?: number
  readonly marker?: boolean
}

/** Offsets `from` up to, but not including, `to`. */
export function upTo(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i)
}

/** The bytes of batches one behind the other. */
export function batches(...all: readonly KafkaBatch[]): Uint8Array {
  return Buffer.concat(all.map(batchBytes))
}

function batchBytes({ offsets, range, epoch = 0, marker = false }: KafkaBatch): Uint8Array {
  const first = range?.[0] ?? offsets[0]!
  const last = range?.[1] ?? offsets.at(-1)!
  const facts: Partial<BatchFacts> = marker
    ? { leaderEpoch: epoch, attributes: CONTROL | TRANSACTIONAL, producerId: 7, producerEpoch: 0 }
    : { leaderEpoch: epoch }
  if (offsets.length === 0) {
    const bytes = new Uint8Array(RECORDS)
    const empty = { baseOffset: first, lastOffsetDelta: last - first, maxTimestamp: START_MS + last * 10 }
    writeEmptyBatch({ bytes, view: new DataView(bytes.buffer) }, 0, empty, { ...PLAIN_BATCH, ...facts })
    return bytes
  }
  const records = offsets.map((offset) => ({
    offset,
    timestamp: START_MS + offset * 10,
    key: marker ? new Uint8Array([0, 0, 0, 1]) : text(`key ${offset % 5}`),
    value: marker ? new Uint8Array([0, 0, 0, 0, 0, 0]) : text(valueAt(offset)),
    headers: [['n', text(String(offset))]] as const,
  }))
  return buildBatch(first, records, facts, last - first)
}

/** What the record at an offset holds. */
export function valueAt(offset: number): string {
  return `value ${offset} `.repeat(3)
}

export interface KafkaPartition {
  /** Bytes of each `.log` file, by base offset. */
  readonly segments: Readonly<Record<number, Uint8Array>>
  readonly topicId?: string
  /** The text of leader-epoch-checkpoint. */
  readonly epochs?: string
  /** Further files, by name. */
  readonly files?: Readonly<Record<string, Uint8Array | string>>
}

/** The id of a topic, from the folder of one of its partitions. */
export function topicIdOf(folder: string): string {
  return createHash('md5')
    .update(folder.slice(0, folder.lastIndexOf('-')))
    .digest('base64url')
}

/** A log directory in `root` of a disk. */
export class KafkaDirectory {
  readonly fs: SimulatedFileSystem
  readonly root: string

  constructor(root: string = '/s', fs: SimulatedFileSystem = new SimulatedFileSystem()) {
    this.fs = fs
    this.root = root
    this.#directory(root)
  }

  async partition(
    folder: string,
    { segments, topicId = topicIdOf(folder), epochs, files = {} }: KafkaPartition,
  ): Promise<void> {
    this.#directory(`${this.root}/${folder}`)
    const all: Record<string, Uint8Array | string> = {
      'partition.metadata': `version: 0\ntopic_id: ${topicId}`,
      'leader-epoch-checkpoint': epochs ?? '0\n1\n0 0\n',
      ...files,
    }
    for (const [base, bytes] of Object.entries(segments)) {
      all[segmentFileName(Number(base), 'log')] = bytes
      // As the broker leaves them when it is killed: of their full size, and of no use.
      all[segmentFileName(Number(base), 'index')] = new Uint8Array(80)
      all[segmentFileName(Number(base), 'timeindex')] = new Uint8Array(120)
    }
    for (const [name, content] of Object.entries(all)) await this.file(`${folder}/${name}`, content)
  }

  /** `lines` of a checkpoint that speaks of many partitions. */
  checkpoint(name: string, lines: readonly string[]): Promise<void> {
    return this.file(name, ['0', String(lines.length), ...lines].map((line) => `${line}\n`).join(''))
  }

  /** Meta data, and after a clean stop the mark. */
  async finish(isClean: boolean): Promise<this> {
    await this.file('meta.properties', META)
    await this.file('.lock', '')
    this.#directory(`${this.root}/__cluster_metadata-0`)
    await this.file('__cluster_metadata-0/00000000000000000000.log', batches({ offsets: [0] }))
    if (isClean) await this.file('.kafka_cleanshutdown', CLEAN_MARK)
    await this.fs.syncDirectory(this.root)
    await this.fs.syncDirectory('/')
    return this
  }

  async file(name: string, content: Uint8Array | string): Promise<void> {
    const path = `${this.root}/${name}`
    if (this.fs.statSync(path) !== undefined) this.fs.unlinkSync(path)
    const file = this.fs.openSync(path, 'create')
    const bytes = typeof content === 'string' ? text(content) : content
    if (bytes.length > 0) file.writeSync(bytes, 0)
    await file.syncData()
    file.closeSync()
    await this.fs.syncDirectory(path.slice(0, path.lastIndexOf('/')))
  }

  #directory(path: string): void {
    if (this.fs.statSync(path) === undefined) this.fs.makeDirectorySync(path)
  }
}

/** Every name below a directory with its bytes, as text. */
export function treeOf(fs: SimulatedFileSystem, directory: string): string[] {
  return fs.listSync(directory).flatMap(({ name, kind }) => {
    const path = `${directory}/${name}`
    return kind === 'directory' ? [`${path}/`, ...treeOf(fs, path)] : [`${path} ${bytesOf(fs, path).toString('hex')}`]
  })
}

export function bytesOf(fs: SimulatedFileSystem, path: string): Buffer {
  const file = fs.openSync(path, 'read')
  const bytes = Buffer.alloc(file.sizeSync())
  file.readSync(bytes, 0)
  file.closeSync()
  return bytes
}
