/** The store that is killed over and over: small segments and a small ring, so that both come around. */
import type { TopicConfig } from '../../src/base/api-topic.ts'
import type { TuningOptions } from '../../src/options.ts'

export const KILL_TOPIC = 'k'

export const KILL_CONFIG: TopicConfig = {
  placement: 'manual',
  segmentBytes: 16 * 1024,
  batchBytes: 1000,
  indexIntervalBytes: 500,
  fileDeleteDelayMs: 0,
}

export const KILL_TUNING: TuningOptions = {
  journal: { fileBytes: 64 * 1024, fileCount: 3 },
  groupBytes: 16 * 1024,
  directGroupBytes: 8 * 1024,
  directEntryMs: 5,
}
