/**
 * A snapshot of a store's metrics.
 */
import type { StoreStats } from './base/api-store.ts'
import type { Engine } from './store-engine.ts'

export function storeStats(engine: Engine, cleaner: StoreStats['cleaner'], remote: StoreStats['remote']): StoreStats {
  const { counters, committer } = engine
  let segments = 0
  let bytes = 0
  let oldest: number | undefined
  for (const log of engine.logs.values()) {
    for (const segment of log.view.segments) {
      segments++
      bytes += segment.sizeBytes
      if (segment.readSinceMs !== undefined) oldest = Math.min(oldest ?? Infinity, segment.readSinceMs)
    }
  }
  return {
    appended: { records: counters.appendedRecords, bytes: counters.appendedBytes, groups: committer.groups },
    read: { records: counters.readRecords, bytes: counters.readBytes },
    queuedBytes: committer.queuedBytes,
    memory: {
      keyMap: engine.keys.bytes,
      cache: engine.indexes.bytes,
      buffers: engine.readBudget.bytes + committer.queuedBytes,
    },
    local: { segments, bytes },
    remote,
    cleaner: { backlogBytes: cleaner.backlogBytes, lastPass: cleaner.lastPass, uncleanable: cleaner.uncleanable },
    oldestViewMs: oldest === undefined ? 0 : engine.clock.monotonicMs() - oldest,
    openFiles: engine.pool.openFiles,
  }
}
