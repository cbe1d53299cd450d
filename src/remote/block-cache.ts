/**
 * Blocks of objects in memory, within a bound.
 *
 *   slab   |slot|slot|slot|slot|slot|      256 KiB each; a block is in one slot or in none
 *
 *   newest -> ready -> ready -> ready -> oldest       a ring of what is ready; the hand walks towards the newest
 *                        ^hand
 *
 * Owns     the slab, which slot has which block, and what goes when there is no room. SIEVE: the hand takes the first
 *          block that nobody came back for since it was there last; one that was asked for again it passes by once.
 *          What a scan reads does not count as asked for, so a scan of everything takes only the room of others like
 *          it.
 * Holds    The slab is all there ever is. A slot is reserved before its bytes are on their way, and is not given away
 *          until they are there or have failed. Only verified bytes come in here.
 * Shared   synchronous; bytes leave as copies, so nothing stays in use.
 * @hot
 */
import { invariant } from '../base/invariant.ts'

export const CACHE_BLOCK_BYTES: number = 256 * 1024

const NONE = -1

export class BlockCache {
  readonly slots: number
  readonly #slab: Uint8Array<ArrayBuffer>
  /** Ready blocks by object. */
  readonly #objects = new Map<string, Map<number, number>>()
  readonly #objectOf: string[]
  readonly #blockOf: Int32Array
  readonly #wasAsked: Uint8Array
  readonly #newer: Int32Array
  readonly #older: Int32Array
  readonly #free: Int32Array
  #freeCount: number
  #newest = NONE
  #oldest = NONE
  #hand = NONE
  #reserved = 0

  constructor(limitBytes: number) {
    const slots = Math.floor(limitBytes / CACHE_BLOCK_BYTES)
    this.slots = slots
    this.#slab = new Uint8Array(slots * CACHE_BLOCK_BYTES)
    this.#objectOf = new Array<string>(slots).fill('')
    this.#blockOf = new Int32Array(slots)
    this.#wasAsked = new Uint8Array(slots)
    this.#newer = new Int32Array(slots)
    this.#older = new Int32Array(slots)
    this.#free = Int32Array.from({ length: slots }, (_, slot) => slot)
    this.#freeCount = slots
  }

  /** Bytes of the slots that are in use. */
  get bytes(): number {
    return (this.slots - this.#freeCount) * CACHE_BLOCK_BYTES
  }

  /** Slots whose bytes are on their way. */
  get reserved(): number {
    return this.#reserved
  }

  has(object: string, block: number): boolean {
    return this.#find(object, block) !== NONE
  }

  /** Copies bytes [from, to) of a block to `at` in `into`; false: it is not there. */
  copy(
    object: string,
    block: number,
    from: number,
    to: number,
    into: Uint8Array,
    at: number,
    isScan: boolean,
  ): boolean {
    const slot = this.#find(object, block)
    if (slot === NONE) return false
    if (!isScan) this.#wasAsked[slot] = 1
    const start = slot * CACHE_BLOCK_BYTES
    into.set(this.#slab.subarray(start + from, start + to), at)
    return true
  }

  /** A slot for a block to come; -1: all are reserved. To be published or released. */
  reserve(): number {
    if (this.#freeCount === 0 && !this.#evict()) return NONE
    this.#reserved++
    return this.#free[--this.#freeCount]!
  }

  /** The block that a slot was reserved for. */
  publish(slot: number, object: string, block: number, bytes: Uint8Array): void {
    invariant(!this.has(object, block), 'a block in one slot only')
    invariant(bytes.length <= CACHE_BLOCK_BYTES, 'a block that is not larger than its slot')
    this.#slab.set(bytes, slot * CACHE_BLOCK_BYTES)
    this.#reserved--
    this.#objectOf[slot] = object
    this.#blockOf[slot] = block
    this.#wasAsked[slot] = 0
    let blocks = this.#objects.get(object)
    if (blocks === undefined) this.#objects.set(object, (blocks = new Map<number, number>()))
    blocks.set(block, slot)
    this.#link(slot)
  }

  /** Nothing came for a slot that was reserved. */
  release(slot: number): void {
    this.#reserved--
    this.#free[this.#freeCount++] = slot
  }

  /** The object is no more. */
  forget(object: string): void {
    for (const slot of this.#objects.get(object)?.values() ?? []) this.#drop(slot)
  }

  #find(object: string, block: number): number {
    return this.#objects.get(object)?.get(block) ?? NONE
  }

  #evict(): boolean {
    if (this.#oldest === NONE) return false
    let slot = this.#hand === NONE ? this.#oldest : this.#hand
    while (this.#wasAsked[slot] === 1) {
      this.#wasAsked[slot] = 0
      const newer = this.#newer[slot]!
      slot = newer === NONE ? this.#oldest : newer
    }
    this.#hand = slot
    this.#drop(slot)
    return true
  }

  #drop(slot: number): void {
    const object = this.#objectOf[slot]!
    const blocks = this.#objects.get(object)!
    blocks.delete(this.#blockOf[slot]!)
    if (blocks.size === 0) this.#objects.delete(object)
    this.#objectOf[slot] = ''
    this.#unlink(slot)
    this.#free[this.#freeCount++] = slot
  }

  #link(slot: number): void {
    this.#newer[slot] = NONE
    this.#older[slot] = this.#newest
    if (this.#newest === NONE) this.#oldest = slot
    else this.#newer[this.#newest] = slot
    this.#newest = slot
  }

  #unlink(slot: number): void {
    const newer = this.#newer[slot]!
    const older = this.#older[slot]!
    if (this.#hand === slot) this.#hand = newer
    if (newer === NONE) this.#newest = older
    else this.#older[newer] = older
    if (older === NONE) this.#oldest = newer
    else this.#newer[older] = newer
  }
}
