/**
 * Progress of long work, on standard error.
 *
 * Owns     one line that is painted again and again on a terminal, or a line every ten seconds elsewhere.
 * Holds    Nothing is printed before a second has passed, and the line is gone when the work is.
 */
import type { Clock, Timer } from '../base/clock.ts'

const FIRST_MS = 1_000
const TERMINAL_MS = 200
const ELSEWHERE_MS = 10_000

/** Where progress goes; `process.stderr` is one. */
export interface ProgressStream {
  readonly isTTY?: boolean | undefined
  readonly columns?: number | undefined
  write(text: string): unknown
}

/** Progress of one piece of work, from its making to its disposal. */
export class Progress implements Disposable {
  readonly #stream: ProgressStream
  readonly #clock: Clock
  readonly #say: () => string
  #timer: Timer
  #painted = false

  /** `say` is asked for the current state whenever it is printed. */
  constructor(stream: ProgressStream, clock: Clock, say: () => string) {
    this.#stream = stream
    this.#clock = clock
    this.#say = say
    this.#timer = clock.timer(FIRST_MS, () => this.#paint())
  }

  #paint(): void {
    const terminal = this.#stream.isTTY === true
    const width = Math.max(20, (this.#stream.columns ?? 80) - 1)
    this.#stream.write(terminal ? `\r\x1b[2K${this.#say().slice(0, width)}` : `${this.#say()}\n`)
    this.#painted = terminal
    this.#timer = this.#clock.timer(terminal ? TERMINAL_MS : ELSEWHERE_MS, () => this.#paint())
  }

  [Symbol.dispose](): void {
    this.#timer.cancel()
    if (this.#painted) this.#stream.write('\r\x1b[2K')
    this.#painted = false
  }
}
