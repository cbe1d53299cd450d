/**
 * The background thread of a store: an entry file, which is never imported for what it does.
 *
 * Owns     the list of what the thread can do.
 * Holds    Like the store it uses the machine's files; of these it writes only such as are no part of the store until
 *          the store renames them. The secret stays in the hasher.
 * Crash    it may end at any moment: `base/task-thread.ts`.
 */
import { nodeFileSystem } from './base/node-file-system.ts'
import { restThread, threadData, threadPort } from './base/node-thread.ts'
import { KeyHasher } from './base/siphash.ts'
import { serveTasks } from './base/task-messages.ts'
import { initHashes } from './base/xxh64.ts'
import { cleanTask } from './log/clean-data.ts'
import type { CleanTasks } from './log/clean-files.ts'
import { mapTask } from './log/clean-map.ts'
import { wholeTask } from './log/clean-whole.ts'
import { sidecarTask } from './log/seal-sidecar.ts'
import type { SealTasks } from './log/seal-sidecar.ts'

/** What the thread does, by kind. */
export interface StoreTasks extends SealTasks, CleanTasks {}

/** What it is started with. */
export interface StoreThreadData {
  /** The secret under which record keys are told apart. */
  readonly hashKey: Uint8Array
}

const { hashKey } = threadData() as StoreThreadData
await initHashes()
const fileSystem = nodeFileSystem()
const keyHasher = new KeyHasher(hashKey)
serveTasks<StoreTasks>(threadPort(), {
  clean: cleanTask(fileSystem, keyHasher, restThread),
  map: mapTask(fileSystem, keyHasher),
  whole: wholeTask(fileSystem),
  seal: sidecarTask(fileSystem, keyHasher),
})
