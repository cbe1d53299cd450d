/**
 * The background thread of an open store, seen from the main one.
 *
 * Owns     what it is started with, and how its loss is told. What it can do: `store-worker.ts`.
 */
import { publish } from './base/diagnostics.ts'
import { TaskThread } from './base/task-thread.ts'
import type { ResolvedOpenOptions } from './options.ts'
import type { StorePaths } from './segment/segment-files.ts'
import type { StoreTasks, StoreThreadData } from './store-worker.ts'

/** The thread of a store, which starts with its first task; undefined: there are no threads. */
export function storeThread(
  { clock, threads }: ResolvedOpenOptions,
  { root }: StorePaths,
  hashKey: Uint8Array,
): TaskThread<StoreTasks> | undefined {
  if (threads === undefined) return undefined
  const data: StoreThreadData = { hashKey }
  const lost = (ms: number | null): void =>
    publish('varve:stall', { directory: root, what: 'cleaner', topic: null, ms })
  return new TaskThread({ clock, threads, entry: new URL('./store-worker.ts', import.meta.url), data, lost })
}
