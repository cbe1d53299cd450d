/**
 * Raw lz4 and snappy blocks by the book: byte for byte, with every check, and slow.
 */

class Damage extends Error {}

class Walk {
  readonly out: number[] = []
  at = 0
  readonly #bytes: Uint8Array
  readonly #limit: number

  constructor(bytes: Uint8Array, limit: number) {
    this.#bytes = bytes
    this.#limit = limit
  }

  get isOver(): boolean {
    return this.at === this.#bytes.length
  }

  byte(): number {
    const byte = this.#bytes[this.at++]
    if (byte === undefined) throw new Damage()
    return byte
  }

  /** Little-endian. */
  number(bytes: number): number {
    let value = 0
    for (let i = 0; i < bytes; i++) value += this.byte() * 256 ** i
    return value
  }

  literals(count: number): void {
    for (let i = 0; i < count; i++) this.#put(this.byte())
  }

  copy(distance: number, count: number): void {
    for (let i = 0; i < count; i++) this.#put(this.out[this.out.length - distance])
  }

  #put(byte: number | undefined): void {
    if (byte === undefined || this.out.length === this.#limit) throw new Damage()
    this.out.push(byte)
  }
}

/** What `run` gives; undefined for damage. */
function unlessDamaged(run: () => number[]): number[] | undefined {
  try {
    return run()
  } catch (error) {
    if (error instanceof Damage) return undefined
    throw error
  }
}

/** An lz4 block; undefined when it is damaged or inflates beyond `limit`. */
export function referenceLz4(block: Uint8Array, limit: number): number[] | undefined {
  const walk = new Walk(block, limit)
  const count = (bits: number): number => {
    let total = bits
    for (let more = bits === 15 ? 255 : 0; more === 255; total += more) more = walk.byte()
    return total
  }
  return unlessDamaged(() => {
    for (;;) {
      const token = walk.byte()
      walk.literals(count(token >> 4))
      if (walk.isOver) return walk.out
      walk.copy(walk.number(2), 4 + count(token & 15))
    }
  })
}

/** A snappy block; undefined when it is damaged or inflates beyond `limit`. */
export function referenceSnappy(block: Uint8Array, limit: number): number[] | undefined {
  const walk = new Walk(block, limit)
  const element = (tag: number): void => {
    const upper = tag >> 2
    if ((tag & 3) === 0) walk.literals(1 + (upper < 60 ? upper : walk.number(upper - 59)))
    else if ((tag & 3) === 1) walk.copy(walk.number(1) + (tag >> 5) * 256, 4 + (upper & 7))
    else walk.copy(walk.number((tag & 3) === 2 ? 2 : 4), 1 + upper)
  }
  return unlessDamaged(() => {
    let size = 0
    for (let byte = 0x80, shift = 0; byte >= 0x80; shift += 7) {
      if (shift > 28) throw new Damage()
      byte = walk.byte()
      size += (byte & 0x7f) * 2 ** shift
    }
    while (!walk.isOver) element(walk.byte())
    if (walk.out.length !== size) throw new Damage()
    return walk.out
  })
}
