/**
 * `varve describe`: a topic's config, marks and segments, and what of them is live.
 */
import type { Command } from 'commander'
import type { KeyedPartition, SegmentInfo } from '../base/api-read.ts'
import type { KeyedBytes } from '../store-read-only.ts'
import { drawLayers } from './layers.ts'
import { count, timeText } from './output.ts'
import type { Session } from './session.ts'

interface Options {
  readonly segments?: true
  readonly live: boolean
}

interface Described {
  readonly partition: number
  readonly offsets: Readonly<Record<string, number>>
  readonly segments: readonly SegmentInfo[]
}

export function addDescribe(program: Command, session: Session): void {
  program
    .command('describe')
    .summary("print a topic's config, marks and segments")
    .description(
      "Prints a topic's config, the marks of its partitions and their segments; of a topic with a key map also a " +
        'drawing of what in them is live: records that are the newest of their key.',
    )
    .argument('<topic>', 'its name')
    .option('--segments', 'every segment, not only their number')
    .option('--no-live', 'do not look at the keys, which may take a while')
    .addHelpText('after', '\nExample:\n  $ varve describe orders --segments')
    .action(async (name: string, options: Options) => {
      await using store = await session.reading()
      const topic = await store.topic(name)
      // A topic opened for reading knows its config as well; the reading face does not promise it.
      const config = (topic as { readonly config?: Readonly<Record<string, unknown>> }).config ?? {}
      const keyed = options.live && config['keyMap'] === true ? await session.mapKeys(store, name) : []
      const numbers = Array.from({ length: topic.partitions }, (_, index) => index)
      const partitions = await Promise.all(numbers.map((index) => described(topic.partition(index))))
      if (session.json) return await session.out.json({ name, config, partitions })
      await print(session, name, config, partitions, keyed, options.segments === true)
    })
}

async function described(partition: KeyedPartition<unknown, unknown>): Promise<Described> {
  return { partition: partition.index, offsets: { ...(await partition.offsets()) }, segments: partition.segments() }
}

async function print(
  session: Session,
  name: string,
  config: Readonly<Record<string, unknown>>,
  partitions: readonly Described[],
  keyed: readonly KeyedBytes[],
  withSegments: boolean,
): Promise<void> {
  const { out } = session
  await out.line(`topic ${name}\n`)
  await out.table(
    ['partition', 'log start', 'last stable', 'high watermark', 'segments', 'bytes'],
    partitions.map(({ partition, offsets, segments }) => {
      const bytes = segments.reduce((sum, segment) => sum + segment.bytes, 0)
      const marks = [offsets['logStart'], offsets['lastStable'], offsets['highWatermark']].map((mark) => mark ?? null)
      return [partition, ...marks, segments.length, bytes]
    }),
  )
  if (withSegments) for (const described of partitions) await printSegments(session, described)
  for (const described of partitions) await printLayers(session, described, keyed[described.partition] ?? new Map())
  const keys = Object.keys(config)
  if (keys.length === 0) return
  await out.line('')
  await out.table(
    ['config', 'value'],
    keys.toSorted().map((key) => [key, configText(config[key])]),
  )
}

async function printSegments(session: Session, { partition, segments }: Described): Promise<void> {
  await session.out.line(`\npartition ${partition}`)
  await session.out.table(
    ['base offset', 'next offset', 'bytes', 'live bytes', 'phase', 'tier', 'newest record', 'sealed'],
    segments.map((segment) => [
      segment.baseOffset,
      segment.nextOffset,
      segment.bytes,
      segment.liveBytes,
      segment.phase,
      segment.tier,
      segment.maxTimestamp === null ? '-' : timeText(segment.maxTimestamp),
      segment.sealedAt === null ? '-' : timeText(segment.sealedAt),
    ]),
  )
}

async function printLayers(session: Session, { partition, segments }: Described, keyed: KeyedBytes): Promise<void> {
  if (segments.every(({ liveBytes, bytes }) => liveBytes === null || bytes === 0)) return
  await session.out.line(`\npartition ${partition}, newest on top`)
  await drawLayers(session.out, segments, keyed)
}

function configText(value: unknown): string {
  if (typeof value === 'number') return Number.isInteger(value) && value >= 0 ? count(value) : String(value)
  return Array.isArray(value) ? value.join(',') : String(value)
}
