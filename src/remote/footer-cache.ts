/**
 * Footers in memory, within a bound.
 *
 * Owns     which footers are held: the least recently used go first. Each is on its way once, however many wait.
 * Holds    What failed or is absent is not kept. One that is larger than the bound is used and not kept.
 */
import type { Sidecar } from '../segment/sidecar.ts'

/** Of one in memory, beside its bytes; about. */
const OBJECT_BYTES = 1024
const ABORTED_BYTES = 64
const EPOCH_BYTES = 64

export class FooterCache {
  readonly #limitBytes: number
  readonly #held = new Map<string, Sidecar>()
  readonly #underWay = new Map<string, Promise<Sidecar | 'absent'>>()
  #bytes = 0

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Footers under way. */
  get count(): number {
    return this.#underWay.size
  }

  find(name: string): Sidecar | undefined {
    const footer = this.#held.get(name)
    if (footer === undefined) return undefined
    this.#held.delete(name)
    this.#held.set(name, footer)
    return footer
  }

  /** The footer that `download` gets, or that another's has got. */
  get(name: string, download: () => Promise<Sidecar | 'absent'>): Promise<Sidecar | 'absent'> {
    const known = this.#underWay.get(name)
    if (known !== undefined) return known
    const underWay = this.#download(name, download)
    this.#underWay.set(name, underWay)
    // Nobody may be waiting any more.
    underWay.catch(() => undefined)
    return underWay
  }

  /** The object is no more. */
  forget(name: string): void {
    const footer = this.#held.get(name)
    if (footer === undefined) return
    this.#held.delete(name)
    this.#bytes -= sizeOf(footer)
  }

  async #download(name: string, download: () => Promise<Sidecar | 'absent'>): Promise<Sidecar | 'absent'> {
    try {
      const footer = await download()
      if (footer !== 'absent') this.#hold(name, footer)
      return footer
    } finally {
      this.#underWay.delete(name)
    }
  }

  #hold(name: string, footer: Sidecar): void {
    const bytes = sizeOf(footer)
    if (bytes > this.#limitBytes) return
    this.#held.set(name, footer)
    this.#bytes += bytes
    for (const oldest of this.#held.keys()) {
      if (this.#bytes <= this.#limitBytes) break
      this.forget(oldest)
    }
  }
}

function sizeOf({ tailLength, aborted, epochs }: Sidecar): number {
  return tailLength + OBJECT_BYTES + aborted.count * ABORTED_BYTES + epochs.length * EPOCH_BYTES
}
