/**
 * A store on a real disk that is written through `src/log`, as producers and a coordinator would write it.
 */
import { nodeClock } from '../../src/base/node-clock.ts'
import { nodeFileSystem } from '../../src/base/node-file-system.ts'
import { nodeRandom } from '../../src/base/node-random.ts'
import { addWaiter, BatchBuild, RecordDraft } from '../../src/log/append.ts'
import type { BatchProducer } from '../../src/log/append.ts'
import type { PartitionLog } from '../../src/log/log.ts'
import { appendMarker, produceBatch } from '../../src/log/produce.ts'
import type { SentMarker } from '../../src/log/produce.ts'
import { resolveOpenOptions } from '../../src/options.ts'
import type { Engine } from '../../src/store-engine.ts'
import { openForWriting } from '../../src/store-open.ts'
import { WritableStore } from '../../src/store-writable.ts'
import type { OpenOptions } from '../../src/varve.ts'
import type { PlainRecord } from './kafka-record.ts'

export class ProducedStore {
  readonly store: WritableStore
  readonly #engine: Engine

  private constructor(store: WritableStore, engine: Engine) {
    this.store = store
    this.#engine = engine
  }

  static async open(directory: string, options: OpenOptions & { mode?: 'read-write' } = {}): Promise<ProducedStore> {
    const doors = { fileSystem: nodeFileSystem(), clock: nodeClock(), random: nodeRandom() }
    const opened = await openForWriting(directory, resolveOpenOptions(options, doors))
    return new ProducedStore(new WritableStore(directory, opened), opened.engine)
  }

  log(topic: string): PartitionLog {
    return [...this.#engine.logs.values()].find((log) => log.topic === topic)!
  }

  /** Resolves when the batch is durable, with its first offset. */
  async produce(topic: string, producer: BatchProducer, records: readonly PlainRecord[]): Promise<number> {
    const log = this.log(topic)
    const build = new BatchBuild(log, producer)
    for (const record of records) build.add(this.#engine, draftOf(record))
    const { firstOffset } = produceBatch(this.#engine, build, true)
    await this.#durable(log, firstOffset + records.length)
    return firstOffset
  }

  async end(topic: string, marker: SentMarker): Promise<void> {
    const log = this.log(topic)
    await this.#durable(log, appendMarker(this.#engine, log, marker, true) + 1)
  }

  #durable(log: PartitionLog, end: number): Promise<void> {
    return new Promise((resolve, reject) => {
      addWaiter(this.#engine, log, { end, done: () => resolve(), failed: reject })
    })
  }
}

/** What a log knows of producers, as the Java side writes down what a broker knows. */
export function producerLines(log: PartitionLog): string[] {
  const all = [...log.producers.producers()].sort((a, b) => a.id - b.id)
  return all.map(({ id, epoch, coordinatorEpoch, lastTimestamp, transactionFirst, batches }) =>
    [id, epoch, batches.at(-1)?.lastSequence ?? -1, lastTimestamp, coordinatorEpoch, transactionFirst].join(' '),
  )
}

function draftOf({ timestamp, key, value }: PlainRecord): RecordDraft {
  const draft = new RecordDraft()
  draft.timestamp = timestamp
  draft.key = key
  draft.keyEnd = key?.length ?? 0
  draft.value = value
  draft.valueEnd = value?.length ?? 0
  return draft
}
