/**
 * What a thread and its owner say to each other, and the thread's side of it.
 *
 * Owns     the messages and their meaning, and how an error crosses: a VarveError stays one, a failed file call keeps
 *          its errno and its path.
 * Holds    Plain data only. Tasks of one thread take turns where they wait. Their kinds are a closed list, which
 *          whoever starts the thread and the thread's entry file share as a type.
 */
import { errnoOf, VarveError } from './errors.ts'
import type { AnyVarveError, ErrorCode, ErrorDetails } from './errors.ts'

/** What a kind of task is given, and what it answers. Both cross: plain data, or memory that is shared. */
export interface TaskType {
  readonly input: unknown
  readonly output: unknown
}

/** What a task may ask while it runs. */
export interface TaskContext {
  /** Aborted when nobody wants the result any more. */
  readonly signal: AbortSignal
  /** So many more bytes are done. To be called at least every few MiB; throws the signal's reason. */
  progress(bytes: number): void
  /** Resolves when whoever wants the result lets so many bytes pass; rejects with the signal's reason. */
  allow(bytes: number): Promise<void>
}

/** How a thread does each kind of task. */
export type TaskTable<T extends Record<keyof T, TaskType>> = {
  readonly [K in keyof T]: (input: T[K]['input'], context: TaskContext) => Promise<T[K]['output']>
}

/** The thread's end of the channel. */
export interface ThreadPort {
  post(message: unknown): void
  /** What was posted before is heard too. */
  listen(heard: (message: unknown) => void): void
  /** Nothing is heard or posted any more: the thread ends with its work. */
  close(): void
}

export type ToThread =
  | {
      readonly what: 'run'
      readonly id: number
      readonly kind: string
      readonly input: unknown
      /** It is to ask before bytes pass. */
      readonly isPaced: boolean
    }
  | { readonly what: 'allow'; readonly id: number }
  | { readonly what: 'abort'; readonly id: number }
  /** Nobody wants anything any more. */
  | { readonly what: 'end' }

export type FromThread =
  | { readonly what: 'ready' }
  | { readonly what: 'progress'; readonly id: number; readonly bytes: number }
  /** It waits until so many bytes may pass. */
  | { readonly what: 'ask'; readonly id: number; readonly bytes: number }
  | { readonly what: 'done'; readonly id: number; readonly output: unknown }
  /** No error: it ended because it was aborted. */
  | { readonly what: 'failed'; readonly id: number; readonly error: SentError | undefined }

/** An error as plain data. */
interface SentError {
  readonly message: string
  readonly stack: string | undefined
  readonly cause: SentError | undefined
  /** Of a failed file call. */
  readonly errno: string | undefined
  readonly path: string | undefined
  readonly varve: Pick<AnyVarveError, 'code' | 'details' | 'retryable' | 'outcome'> | undefined
}

const MOST_CAUSES = 4

/** In the thread: takes what comes through `port`, until the thread ends. */
export function serveTasks<T extends Record<keyof T, TaskType>>(port: ThreadPort, tasks: TaskTable<T>): void {
  const running = new Map<number, Served>()
  const post = (message: FromThread): void => port.post(message)
  port.listen((heard) => {
    const message = heard as ToThread
    if (message.what === 'end') {
      for (const served of running.values()) served.abort()
      return port.close()
    }
    const { id } = message
    if (message.what === 'abort') return running.get(id)?.abort()
    if (message.what === 'allow') return running.get(id)?.allowed()
    const served = new Served(post, id, message.isPaced)
    running.set(id, served)
    const task = tasks[message.kind as keyof T]
    void served.run(() => task(message.input, served)).then(() => running.delete(id))
    return undefined
  })
  post({ what: 'ready' })
}

/** A task that is under way in the thread. */
class Served implements TaskContext {
  readonly #post: (message: FromThread) => void
  readonly #id: number
  readonly #isPaced: boolean
  readonly #controller = new AbortController()
  /** Goes on: bytes may pass, or nobody wants the result any more. */
  #goOn: (() => void) | undefined

  constructor(post: (message: FromThread) => void, id: number, isPaced: boolean) {
    this.#post = post
    this.#id = id
    this.#isPaced = isPaced
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  progress(bytes: number): void {
    this.#post({ what: 'progress', id: this.#id, bytes })
    this.signal.throwIfAborted()
  }

  async allow(bytes: number): Promise<void> {
    this.signal.throwIfAborted()
    if (!this.#isPaced) return
    await new Promise<void>((resolve) => {
      this.#goOn = resolve
      this.#post({ what: 'ask', id: this.#id, bytes })
    })
    this.signal.throwIfAborted()
  }

  allowed(): void {
    this.#goOn?.()
  }

  abort(): void {
    this.#controller.abort()
    this.#goOn?.()
  }

  async run(work: () => Promise<unknown>): Promise<void> {
    const id = this.#id
    try {
      this.#post({ what: 'done', id, output: await work() })
    } catch (error) {
      const isAborted = this.signal.aborted && error === this.signal.reason
      this.#post({ what: 'failed', id, error: isAborted ? undefined : sentError(error) })
    }
  }
}

function sentError(error: unknown, depth = 0): SentError {
  const fields = Object(error) as Partial<Error> & Partial<AnyVarveError> & { readonly path?: unknown }
  const { message = String(error), stack, cause, path, code, details, retryable, outcome } = fields
  return {
    message,
    stack,
    cause: cause === undefined || depth === MOST_CAUSES ? undefined : sentError(cause, depth + 1),
    errno: errnoOf(error),
    path: typeof path === 'string' ? path : undefined,
    varve: VarveError.is(error) ? ({ code, details, retryable, outcome } as SentError['varve']) : undefined,
  }
}

/** The error that was sent, as one of this side. */
export function receivedError(sent: SentError): Error {
  const cause = sent.cause === undefined ? undefined : receivedError(sent.cause)
  const error = sent.varve === undefined ? plainError(sent, cause) : varveError(sent, sent.varve, cause)
  // Where it went wrong, which is not here.
  if (sent.stack !== undefined) error.stack = sent.stack
  return error
}

function varveError(
  { message }: SentError,
  { code, details, retryable, outcome }: NonNullable<SentError['varve']>,
  cause: Error | undefined,
): VarveError {
  return new VarveError(code as ErrorCode, message, details as ErrorDetails[ErrorCode], { retryable, outcome, cause })
}

function plainError({ message, errno, path }: SentError, cause: Error | undefined): Error {
  const error = new Error(message, cause === undefined ? undefined : { cause })
  if (errno !== undefined) Object.assign(error, { code: errno })
  if (path !== undefined) Object.assign(error, { path })
  return error
}
