/**
 * A process that tries everything that needs a codec, on a store with topics `lz4` and `snappy` of one batch each and an
 * empty topic `plain`. It prints what came of it as JSON.
 */
import { openStore, VarveError, type Store } from '../../src/varve.ts'
import { collected } from './collected.ts'

const CODECS = ['lz4', 'snappy'] as const

async function outcomeOf(work: () => Promise<unknown>): Promise<unknown> {
  try {
    return await work()
  } catch (error) {
    if (!VarveError.is(error, 'UNSUPPORTED')) throw error
    return { message: error.message, package: error.details.package }
  }
}

async function tried(store: Store, codec: (typeof CODECS)[number]): Promise<Record<string, unknown>> {
  const config = { compressionType: codec }
  const topic = await store.topic(codec)
  const record = { value: Buffer.from('more') }
  return {
    create: await outcomeOf(() => store.topic('another', { create: 'must', config })),
    alter: await outcomeOf(() => store.topic('plain', { alter: true, config })),
    append: await outcomeOf(() => topic.append(record)),
    appendMany: await outcomeOf(() => topic.appendMany([record, record])),
    read: await outcomeOf(() => collected(topic.read())),
    time: await outcomeOf(() => topic.partition(0).offsetForTime(1_700_000_000_001)),
    end: (await topic.partition(0).offsets()).logEnd,
  }
}

async function work(directory: string): Promise<void> {
  await using store = await openStore(directory)
  const said: Record<string, unknown> = {}
  for (const codec of CODECS) said[codec] = await tried(store, codec)
  const plain = await store.topic('plain')
  const { offset } = await plain.append({ value: Buffer.from('plain') })
  const findings = await collected(store.verify({ deep: true }))
  const topics = await store.topics()
  console.log(JSON.stringify({ ...said, topics, type: plain.config.compressionType, offset, findings }))
}

await work(process.argv[2]!)
