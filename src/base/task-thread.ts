/**
 * A thread for long work, and what becomes of the work when the thread is lost.
 *
 *   run --> thread --> done, failed
 *             | lost: it exits, or is silent for a minute and is terminated
 *             v
 *           a new thread --> done, failed
 *             | lost again, or none can start
 *             v
 *           here, a piece at a time
 *
 * Owns     one thread at a time, from the first task on.
 * Holds    A task that was lost is begun anew only when its thread has ended: nothing comes from it any more, neither a
 *          message nor a call on a file. So a task may be done twice, never at the same time, and must begin by
 *          removing what an earlier try has left. A thread that does not start, or is lost again and again, is started
 *          less and less often. While there is nothing to do the thread does not keep the process alive, and after a
 *          minute of that it ends: what it has had of memory, shared memory too, would stay as long as it does.
 * Shared   any number of tasks at once; they take turns in the thread.
 */
import type { Clock, Timer } from './clock.ts'
import { VarveError } from './errors.ts'
import { receivedError } from './task-messages.ts'
import type { FromThread, TaskContext, TaskType, ToThread } from './task-messages.ts'

/** The door to threads. The real one is `node-thread.ts`; where there is none, work is done here. */
export interface ThreadDoor {
  readonly '~varve': 'threads'
  /** Throws when none can be started; `ended` comes once, also when it could not come up. */
  start(entry: URL, data: unknown, heard: (message: unknown) => void, ended: () => void): Thread
}

export interface Thread {
  post(message: unknown): void
  /** Whether the process waits for it; at first it does not. */
  keepAlive(isNeeded: boolean): void
  /** Its end is told as any other. */
  terminate(): void
}

export interface TaskThreadHost {
  readonly clock: Clock
  readonly threads: ThreadDoor
  /** The file that serves the tasks (`serveTasks`), and what it is started with. */
  readonly entry: URL
  readonly data: unknown
  /** A thread was lost, after so long a silence (null: it ended by itself); or the first one did not start. */
  lost(silentMs: number | null): void
}

export interface TaskOptions {
  readonly signal?: AbortSignal | undefined
  /** Hears of every piece that is done. A task that was lost begins anew. */
  readonly progress?: ((bytes: number) => void) | undefined
  /** Resolves when so many bytes may pass; rejects with the signal's reason. Without it the task asks nobody. */
  readonly allow?: ((bytes: number) => Promise<void>) | undefined
}

/**
 * A minute of silence: tasks say something every few MiB, but a sync of their output may take long. It is counted, not
 * measured: while the process is stopped, or its loop is held up, a tick is late and no more than one is due.
 */
const MOST_SILENT_TICKS = 12
const TICK_MS = 5000
const MOST_IDLE_MS = 60_000
/** So long a thread has to end by itself. Node can crash where one is terminated in the middle of its work. */
const END_MS = 2000
const MOST_LOSSES = 2
const RETRY_MS = 60_000
const MOST_DOUBLINGS = 6

interface Task extends TaskOptions {
  readonly kind: string
  readonly input: unknown
  readonly inline: (context: TaskContext) => Promise<unknown>
  readonly resolve: (output: unknown) => void
  readonly reject: (error: unknown) => void
  /** Threads that it was lost with. */
  losses: number
}

/** What a task has where no thread does it. */
export function inlineContext(options: TaskOptions = {}): TaskContext {
  const { signal = new AbortController().signal, progress, allow } = options
  return {
    signal,
    allow: allow ?? (() => Promise.resolve()),
    progress: (bytes) => {
      progress?.(bytes)
      signal.throwIfAborted()
    },
  }
}

/** Does tasks of the kinds `T` in a thread. */
export class TaskThread<T extends Record<keyof T, TaskType>> {
  readonly #host: TaskThreadHost
  #life: Life | undefined
  /** Those that have not ended, lost ones too. */
  readonly #lives = new Set<Life>()
  /** Lives that ended since a thread last did a task. */
  #failures = 0
  #retryAtMs = -Infinity
  #isClosed = false

  constructor(host: TaskThreadHost) {
    this.#host = host
  }

  /** Has a task done; `inline` does the same in this thread, where there is no other one. */
  run<K extends keyof T & string>(
    kind: K,
    input: T[K]['input'],
    inline: (context: TaskContext) => Promise<T[K]['output']>,
    options: TaskOptions = {},
  ): Promise<T[K]['output']> {
    return new Promise((resolve, reject) => {
      this.#hand({ ...options, kind, input, inline, resolve: resolve as Task['resolve'], reject, losses: 0 })
    })
  }

  /** Ends the thread, and waits for one that was lost. A task that is under way is given up. */
  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.all([...this.#lives].map((life) => life.end()))
  }

  #hand(task: Task): void {
    if (task.signal?.aborted === true) return task.reject(task.signal.reason)
    if (this.#isClosed) return task.reject(new VarveError('CLOSED', 'The thread is closed.', { what: 'thread' }))
    const life = task.losses < MOST_LOSSES ? this.#living() : undefined
    if (life !== undefined) return life.take(task)
    void task.inline(inlineContext(task)).then(task.resolve, task.reject)
  }

  #living(): Life | undefined {
    if (this.#life !== undefined) return this.#life
    if (this.#host.clock.monotonicMs() < this.#retryAtMs) return undefined
    try {
      this.#life = new Life(this.#host, {
        succeeded: () => (this.#failures = 0),
        lost: (life, silentMs) => this.#lost(life, silentMs),
        idle: () => (this.#life = undefined),
        ended: (life, tasks) => this.#ended(life, tasks),
      })
      this.#lives.add(this.#life)
    } catch {
      this.#countFailure(false, null)
    }
    return this.#life
  }

  /** From here on it is nobody's thread, and its tasks wait for its end. */
  #lost(life: Life, silentMs: number | null): void {
    this.#life = undefined
    if (!this.#isClosed) this.#countFailure(life.wasReady, silentMs)
  }

  #ended(life: Life, tasks: Iterable<Task>): void {
    this.#lives.delete(life)
    for (const task of tasks) {
      task.losses++
      this.#hand(task)
    }
  }

  #countFailure(wasReady: boolean, silentMs: number | null): void {
    const waits = wasReady ? this.#failures : this.#failures + 1
    this.#failures++
    if (waits > 0) {
      const delayMs = RETRY_MS * 2 ** Math.min(waits - 1, MOST_DOUBLINGS)
      this.#retryAtMs = this.#host.clock.monotonicMs() + delayMs
    }
    // Where none can start, once is enough.
    if (wasReady || this.#failures === 1) this.#host.lost(silentMs)
  }
}

interface LifeHost {
  succeeded(): void
  /** It had nothing to do for long, and ends: no task is to be handed to it. */
  idle(): void
  lost(life: Life, silentMs: number | null): void
  /** After `lost`: nothing comes from the thread any more. */
  ended(life: Life, tasks: Iterable<Task>): void
}

interface Running {
  readonly task: Task
  readonly abort: () => void
  /** It waits until bytes may pass, which is not its silence. */
  isWaiting: boolean
  silentTicks: number
}

/** A thread from its start to its end. */
class Life {
  wasReady = false
  readonly #host: LifeHost
  readonly #clock: Clock
  readonly #thread: Thread
  readonly #running = new Map<number, Running>()
  #lastId = 0
  /** It is nobody's thread any more. */
  #isOver = false
  /** Ticks while it works, then the end of its idleness. */
  #timer: Timer | undefined
  readonly #ended: Promise<void>

  constructor({ clock, threads, entry, data }: TaskThreadHost, host: LifeHost) {
    this.#host = host
    this.#clock = clock
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#ended = promise
    const heard = (message: unknown): void => this.#heard(message as FromThread)
    this.#thread = threads.start(entry, data, heard, () => {
      this.#lose(null)
      resolve()
      host.ended(
        this,
        [...this.#running.values()].map(({ task }) => task),
      )
    })
  }

  take(task: Task): void {
    const id = ++this.#lastId
    const { kind, input, signal } = task
    const abort = (): void => this.#post({ what: 'abort', id })
    try {
      this.#post({ what: 'run', id, kind, input, isPaced: task.allow !== undefined })
    } catch (error) {
      return task.reject(error)
    }
    signal?.addEventListener('abort', abort)
    this.#running.set(id, { task, abort, isWaiting: false, silentTicks: 0 })
    this.#thread.keepAlive(true)
    if (this.#running.size === 1) this.#tickLater()
  }

  /** A thread that ends by itself leaves nothing half done in the process; one that does not is terminated. */
  async end(): Promise<void> {
    const timer = this.#clock.timer(END_MS, () => this.#thread.terminate())
    this.#thread.keepAlive(true)
    this.#post({ what: 'end' })
    await this.#ended
    timer.cancel()
  }

  #post(message: ToThread): void {
    this.#thread.post(message)
  }

  #heard(message: FromThread): void {
    if (message.what === 'ready') this.wasReady = true
    else if (!this.#isOver) this.#heardOf(message)
  }

  #heardOf(message: Exclude<FromThread, { what: 'ready' }>): void {
    const running = this.#running.get(message.id)!
    const { task } = running
    running.silentTicks = 0
    if (message.what === 'progress') return task.progress?.(message.bytes)
    if (message.what === 'ask') return void this.#ask(message.id, running, message.bytes)
    this.#settle(message.id, running)
    this.#host.succeeded()
    if (message.what === 'done') return task.resolve(message.output)
    return task.reject(message.error === undefined ? task.signal!.reason : receivedError(message.error))
  }

  async #ask(id: number, running: Running, bytes: number): Promise<void> {
    running.isWaiting = true
    try {
      await running.task.allow!(bytes)
    } catch {
      // It was aborted, which the thread is told.
    }
    running.isWaiting = false
    running.silentTicks = 0
    this.#post({ what: 'allow', id })
  }

  #settle(id: number, { task, abort }: Running): void {
    this.#running.delete(id)
    task.signal?.removeEventListener('abort', abort)
    if (this.#running.size > 0) return
    this.#thread.keepAlive(false)
    this.#timer?.cancel()
    this.#timer = this.#clock.timer(MOST_IDLE_MS, () => this.#endIdle())
  }

  #endIdle(): void {
    this.#isOver = true
    this.#host.idle()
    this.#post({ what: 'end' })
  }

  #tickLater(): void {
    this.#timer?.cancel()
    this.#timer = this.#clock.timer(TICK_MS, () => this.#tick())
  }

  #tick(): void {
    for (const running of this.#running.values()) {
      if (running.isWaiting || ++running.silentTicks < MOST_SILENT_TICKS) continue
      this.#lose(MOST_SILENT_TICKS * TICK_MS)
      return this.#thread.terminate()
    }
    return this.#tickLater()
  }

  #lose(silentMs: number | null): void {
    this.#timer?.cancel()
    if (this.#isOver) return
    this.#isOver = true
    for (const { task, abort } of this.#running.values()) task.signal?.removeEventListener('abort', abort)
    this.#host.lost(this, silentMs)
  }
}
