/**
 * One writer at a time among all processes that use a directory as a bucket.
 *
 * Owns     the lock file of the directory. Taken for what looks before it writes: replacing and deleting.
 * Holds    A process that dies lets go of the lock. Waiting ends with the signal of the call.
 */
import type { Clock } from '../base/clock.ts'
import type { FileSystem, Lock } from '../base/file-system.ts'
import { SerialQueue } from '../base/serial-queue.ts'

const POLL_MS = 5

export class DirectoryLock {
  readonly #fileSystem: FileSystem
  readonly #clock: Clock
  readonly #path: string
  readonly #queue = new SerialQueue()

  constructor(fileSystem: FileSystem, clock: Clock, path: string) {
    this.#fileSystem = fileSystem
    this.#clock = clock
    this.#path = path
  }

  /** Runs `task` alone. */
  run<T>(task: () => Promise<T>, signal: AbortSignal): Promise<T> {
    return this.#queue.run(async () => {
      const lock = await this.#take(signal)
      try {
        return await task()
      } finally {
        lock.releaseSync()
      }
    })
  }

  async #take(signal: AbortSignal): Promise<Lock> {
    for (;;) {
      signal.throwIfAborted()
      const lock = this.#fileSystem.lockSync(this.#path)
      if (lock !== undefined) return lock
      await new Promise<void>((resolve) => this.#clock.timer(POLL_MS, resolve, true))
    }
  }
}
