/** Varve as the benchmarks use it: through its public names only. */
import { openStore, type RawTopic, type Store, type TopicConfig } from '../src/varve.ts'

/** Appends that may be under way at once: enough for every group, far below the queue's limit. */
export const WINDOW = 4096

export interface OurTopic {
  readonly store: Store
  readonly topic: RawTopic
}

export async function openOurs(
  directory: string,
  durability: 'os' | 'disk',
  partitions = 1,
  config: TopicConfig = {},
): Promise<OurTopic> {
  const store = await openStore(directory, { durability })
  const topic = await store.topic('bench', { create: 'if-missing', config: { placement: 'manual', ...config } })
  if (topic.partitions < partitions) await topic.addPartitions(partitions - topic.partitions)
  return { store, topic }
}

/** Writes `count` records through a writer and waits until all are acknowledged. */
export async function writeAll(topic: RawTopic, count: number, value: Uint8Array): Promise<void> {
  const writer = topic.writer({ bufferBytes: '4MiB' })
  const record = { value, partition: 0 }
  for (let i = 0; i < count; i++) if (!writer.write(record)) await writer.drained()
  await writer.flush()
  await writer.close()
}

/** Runs `put` for every number, at most `WINDOW` at once; acknowledgements come in order or all are waited for. */
export async function pump(count: number, inOrder: boolean, put: (index: number) => Promise<unknown>): Promise<void> {
  for (let first = 0; first < count; first += WINDOW) {
    const end = Math.min(count, first + WINDOW)
    if (inOrder) {
      let last: Promise<unknown> | undefined
      for (let i = first; i < end; i++) last = put(i)
      await last
    } else {
      const all: Promise<unknown>[] = []
      for (let i = first; i < end; i++) all.push(put(i))
      await Promise.all(all)
    }
  }
}

/** Bytes of a topic's batches, over all partitions, as they lie in its segments. */
export function logBytes(topic: RawTopic): number {
  let sum = 0
  for (let partition = 0; partition < topic.partitions; partition++) {
    for (const { bytes } of topic.partition(partition).segments()) sum += bytes
  }
  return sum
}
