/** What one seed runs: the shape of the store, what is done to it, and what goes wrong. */
import type { TopicConfig } from '../../src/base/api-topic.ts'
import type { Durability } from '../../src/base/api-records.ts'
import type { CrashProfile } from '../../src/base/sim-crash.ts'
import type { TuningOptions } from '../../src/options.ts'
import { Draw } from './sim-draw.ts'

export interface TopicPlan {
  readonly name: string
  readonly partitions: number
  readonly config: TopicConfig
}

export type FaultKind = 'sync' | 'write' | 'read' | 'open' | 'names' | 'short-write' | 'full'

export interface SimConfig {
  readonly seed: number
  readonly profile: CrashProfile
  /** Asynchronous calls complete in a drawn order, and writes are seen half done. */
  readonly interleave: boolean
  readonly durability: Durability | { readonly intervalMs: number }
  /** Share of appends that ask for `disk`. */
  readonly diskShare: number
  readonly tuning: TuningOptions
  readonly maxQueuedBytes: number
  readonly topics: readonly TopicPlan[]
  /** Crashes, or closes, and opens again this often. */
  readonly lives: number
  readonly stepsPerLife: number
  /** Share of lives that end in order. */
  readonly closeShare: number
  readonly faults: ReadonlySet<FaultKind>
  /** Weights of what is done. */
  readonly weights: ReadonlyMap<StepKind, number>
}

export type StepKind =
  | 'append'
  | 'burst'
  | 'many'
  | 'across'
  | 'writer'
  | 'large'
  | 'flush'
  | 'deleteBefore'
  | 'addPartitions'
  | 'deleteTopic'
  | 'createTopic'
  | 'advance'
  | 'settle'
  | 'read'
  | 'clock'

const ALWAYS: readonly (readonly [StepKind, number])[] = [
  ['append', 10],
  ['burst', 4],
  ['settle', 5],
]

const SOMETIMES: readonly (readonly [StepKind, number])[] = [
  ['many', 3],
  ['across', 3],
  ['writer', 2],
  ['large', 2],
  ['flush', 2],
  ['deleteBefore', 2],
  ['addPartitions', 0.5],
  ['deleteTopic', 0.6],
  ['createTopic', 1],
  ['advance', 4],
  ['read', 2],
  ['clock', 0.5],
]

const FAULTS: readonly FaultKind[] = ['sync', 'write', 'read', 'open', 'names', 'short-write', 'full']

/** Everything that a seed decides before it runs. */
export function drawConfig(seed: number): SimConfig {
  const draw = new Draw(seed * 2 + 1)
  const weights = new Map<StepKind, number>(ALWAYS)
  for (const [kind, weight] of SOMETIMES) if (draw.chance(0.6)) weights.set(kind, weight)
  if (weights.has('deleteTopic')) weights.set('createTopic', 1)
  const withFaults = draw.chance(0.5)
  const faults = FAULTS.filter(() => withFaults && draw.chance(0.35))
  return {
    seed,
    profile: draw.pick(['posix', 'posix', 'posix', 'ext4', 'xfs', 'none']),
    interleave: draw.chance(0.5),
    durability: draw.pick(['disk', 'disk', 'os', { intervalMs: 50 }]),
    diskShare: draw.pick([0, 0.3, 0.5, 0.7, 1]),
    tuning: { ...drawTuning(draw), ...drawWrites(new Draw(seed * 2 + 1_000_001)) },
    maxQueuedBytes: draw.pick([50_000, 50_000, 1500]),
    topics: Array.from({ length: draw.int(1, 3) }, (_, i) => drawTopic(draw, `t${i}`)),
    lives: draw.int(1, 5),
    stepsPerLife: draw.int(4, 24),
    closeShare: draw.pick([0, 0.2, 0.5]),
    faults: new Set(faults),
    weights,
  }
}

function drawTuning(draw: Draw): TuningOptions {
  const fileBytes = draw.pick([16, 16, 24, 32, 64]) * 1024
  // The journal takes no entry larger than this.
  const most = fileBytes === 16 * 1024 ? 2000 : 3500
  return {
    journal: { fileBytes, fileCount: draw.pick([3, 3, 4]) },
    groupBytes: draw.pick([600, most]),
    directGroupBytes: draw.pick([400, 1000, most]),
    directEntryMs: draw.pick([5, 100]),
  }
}

/** Drawn apart: what a recorded seed draws stays what it was. */
function drawWrites(draw: Draw): TuningOptions {
  return { largeWriteBytes: draw.pick([300, 1000, 4000]), slowWriteMs: draw.pick([0, 2]) }
}

function drawTopic(draw: Draw, name: string): TopicPlan {
  const retention: TopicConfig = draw.chance(0.25)
    ? { retentionBytes: draw.pick([2000, 8000]), fileDeleteDelayMs: draw.pick([0, 1000, 60_000]) }
    : { fileDeleteDelayMs: draw.pick([0, 1000]) }
  return {
    name,
    partitions: draw.skewed(1, 4),
    config: {
      placement: 'manual',
      segmentBytes: draw.pick([1024, 1024, 2048, 8192]),
      indexIntervalBytes: draw.pick([0, 100, 1024]),
      batchBytes: draw.pick([200, 1000, 4096]),
      compressionType: draw.pick(['none', 'none', 'none', 'gzip', 'zstd']),
      messageTimestampType: draw.pick(['CreateTime', 'CreateTime', 'CreateTime', 'LogAppendTime']),
      ...(draw.chance(0.2) ? { segmentMs: 20_000 } : {}),
      ...retention,
    },
  }
}
