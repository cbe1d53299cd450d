/**
 * What types users get from a store, its topics, records and reads. Nothing here runs: it compiles, or it does not.
 */
import {
  defineTopic,
  header,
  json,
  nullable,
  utf8,
  VarveError,
  type Batch,
  type Bytes,
  type LogRecord,
  type LogStore,
  type NewRecord,
  type OpenOptions,
  type PartitionMarks,
  type Positions,
  type RawTopic,
  type Reader,
  type ReadStore,
  type Receipt,
  type Store,
  type Topic,
} from '../../src/varve.ts'
import { is, type Equal } from './equal.ts'

const Orders = defineTopic('orders', { key: utf8(), value: json<{ cents: number }>() })
const Events = defineTopic('events', { value: utf8() })
const Notes = defineTopic('notes', { key: nullable(utf8()), value: utf8() })

export async function appending(store: Store): Promise<void> {
  const orders = await store.topic(Orders, { create: 'if-missing' })
  is<Equal<typeof orders, Topic<string, { cents: number }, 'orders', string, { cents: number }>>>()
  const receipt = await orders.append({ key: 'a', value: { cents: 1 } }, { durability: 'os', expect: { offset: 0 } })
  is<Equal<typeof receipt, Receipt>>()
  await orders.append({ key: 'a', value: null, headers: { trace: '1', raw: new Uint8Array(1), none: null } })
  await orders.append({
    key: 'a',
    value: null,
    headers: [
      ['a', '1'],
      ['a', null],
    ],
    timestamp: 5,
    partition: 0,
  })
  await orders.appendMany([{ key: 'a', value: { cents: 1 } }])
  await orders.delete('a', { signal: AbortSignal.timeout(5) })

  // @ts-expect-error the key is required
  await orders.append({ value: { cents: 1 } })
  // @ts-expect-error the value is required
  await orders.append({ key: 'a' })
  // @ts-expect-error the key is text
  await orders.append({ key: 5, value: { cents: 1 } })
  // @ts-expect-error a value of another shape
  await orders.append({ key: 'a', value: { euros: 1 } })
  // @ts-expect-error a null key cannot be deleted
  await orders.delete(null)
  // @ts-expect-error a durability that there is not
  await orders.append({ key: 'a', value: null }, { durability: 'fsync' })

  const events = await store.topic(Events)
  await events.append({ value: 'x' })
  await events.append({ key: null, value: 'x' })
  // @ts-expect-error a topic without a key codec takes no keys
  await events.append({ key: 'a', value: 'x' })
  // @ts-expect-error nor can a key be deleted there
  await events.delete('a')

  const notes = await store.topic(Notes)
  await notes.append({ value: 'x' })
  await notes.append({ key: null, value: 'x' })
  await notes.append({ key: 'a', value: 'x' })
  await notes.delete('a')

  const raw = await store.topic('orders')
  is<Equal<typeof raw, RawTopic>>()
  await raw.append({ value: Buffer.from('x') })
  is<Equal<NewRecord<null, string>['key'], null | undefined>>()
}

export async function reading(store: Store): Promise<void> {
  const orders = await store.topic(Orders)
  const reader = orders.read({ from: { time: new Date(5) }, until: 'forever' })
  is<Equal<typeof reader, Reader<string, { cents: number }, 'orders'>>>()
  for await (const record of reader) {
    is<Equal<typeof record, LogRecord<string, { cents: number }, 'orders'>>>()
    is<Equal<typeof record.value, { cents: number } | null>>()
    is<Equal<ReturnType<typeof plainHeader>, Bytes | null | undefined>>()
    const text = header(record, 'trace', utf8())
    is<Equal<typeof text, string | null | undefined>>()
  }
  for await (const batch of orders.read().batches()) {
    is<Equal<typeof batch, Batch<string, { cents: number }, 'orders'>>>()
    for (const record of batch) is<Equal<typeof record.key, string>>()
  }
  const positions: Positions = reader.positions()
  orders.read({ from: JSON.parse(JSON.stringify(positions)) as Positions, until: positions, partition: 0 })
  const partition = orders.partition(0)
  const marks = await partition.offsets()
  is<Equal<typeof marks, PartitionMarks>>()
  const events = await store.topic(Events)
  for await (const { key } of events.read()) is<Equal<typeof key, null>>()
  const writer = orders.writer({ bufferBytes: '64KiB' })
  await new ReadableStream<NewRecord<string, { cents: number }>>().pipeTo(writer.toWritableStream())
  await orders.read().toReadableStream().pipeTo(new WritableStream())
}

const plainHeader = (record: LogRecord<string, string>) => header(record, 'x')

export async function readOnly(view: ReadStore): Promise<void> {
  const orders = await view.topic(Orders)
  for await (const { value } of orders.read()) is<Equal<typeof value, { cents: number } | null>>()
  await orders.partition(0).at(5)
  // @ts-expect-error what is opened read-only has no append
  void orders.append
  // @ts-expect-error and raises no log start
  void orders.partition(0).deleteBefore
  // @ts-expect-error and deletes no topic
  void view.deleteTopic
}

/** A store is everything that a cluster and a read-only store are. */
export function faces(store: Store): readonly [LogStore, ReadStore] {
  return [store, store]
}

export async function scoped(open: () => Promise<Store>): Promise<number> {
  await using store = await open()
  return store.recovery.epoch
}

export function options(): OpenOptions {
  is<Equal<undefined extends OpenOptions['mode'] ? true : false, true>>()
  return { durability: { intervalMs: '50ms' }, memoryBytes: '64MiB', lockWaitMs: 5 }
}

export function handling(error: unknown): string {
  if (VarveError.is(error, 'OFFSET_OUT_OF_RANGE')) return `${error.details.logStart} to ${error.details.logEnd}`
  if (!VarveError.is(error)) return 'not ours'
  switch (error.code) {
    case 'LOCKED':
      is<Equal<typeof error.details.pid, number | null>>()
      return error.details.directory
    case 'RECORD_TOO_LARGE':
      return `${error.details.bytes} > ${error.details.maxBytes}`
    default:
      // @ts-expect-error the details of the other codes have no common name
      return String(error.details.directory)
  }
}
