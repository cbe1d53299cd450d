/** Rare states, told from the calls at the door: what a campaign must have met to be worth its time. */
import type { Operation } from '../../src/base/sim-core.ts'

const DATA_FILE = /\/log\/([^/]+)\/(\d+)\.log$/
const RING_FILE = /\/journal\/\d+\.journal$/

export class Reach {
  /** A store is being opened. */
  isOpening = false
  readonly #reached: (what: string) => void
  readonly #begun = new Set<string>()
  /** Segments that this open has written to, by log. */
  #written = new Map<string, Set<string>>()

  constructor(reached: (what: string) => void) {
    this.#reached = reached
  }

  opens(): void {
    this.isOpening = true
    this.#written = new Map()
  }

  look(operation: Operation): void {
    if (operation.phase !== 'after') return
    if (operation.kind === 'write' && RING_FILE.test(operation.path)) this.#ringWrite(operation)
    if (this.isOpening) this.#recovery(operation)
  }

  #ringWrite({ path, position }: Operation): void {
    if (position > 0) {
      if (!this.isOpening) this.#reached('group: entry')
      return
    }
    if (this.#begun.has(path)) this.#reached('journal file used again')
    this.#begun.add(path)
  }

  #recovery({ kind, path, position }: Operation): void {
    const match = DATA_FILE.exec(path)
    if (match === null) return
    if (kind === 'truncate' && position > 0) this.#reached('recovery: torn batch')
    if (kind === 'rename') this.#reached('recovery: hole above the frontier')
    if (kind !== 'write') return
    const segments = this.#written.get(match[1]!) ?? new Set()
    this.#written.set(match[1]!, segments.add(match[2]!))
    if (segments.size === 2) this.#reached('recovery: replay over a roll')
  }
}
