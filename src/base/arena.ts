/**
 * The arena: one fixed piece of WebAssembly memory, lent out in slabs.
 *
 *   0         20 KiB    52 KiB    64 KiB                                             64 MiB
 *   +---------+---------+---------+---------------------------------------------------+
 *   | tables  | scratch | -       | slabs: powers of two from 4 KiB to 8 MiB, aligned  |
 *   +---------+---------+---------+---------------------------------------------------+
 *
 * Owns     the memory that the hash routines work in, and who holds which slab of it. What is written in a slab lies
 *          where a checksum needs no copy. Pages that were never touched cost nothing.
 * Holds    A slab has one holder and is returned exactly once (I12). The memory never grows, so no view is ever
 *          detached. Buddies that are both free are one again, so no class can starve the others for ever.
 * Shared   one arena per thread; all calls are synchronous.
 */
import { invariant } from './invariant.ts'

/** What a WebAssembly instance needs of the global: `lib` has no types for it outside the browser's. */
interface WebAssemblyFace {
  readonly Memory: new (size: { initial: number; maximum: number }) => { readonly buffer: ArrayBuffer }
}

const WASM_PAGE = 64 * 1024
const ARENA_BYTES = 64 * 1024 * 1024
/** Where the hash routines take what does not lie in the arena. */
export const SCRATCH: number = 20 * 1024
export const SCRATCH_BYTES: number = 32 * 1024
const FIRST_SLAB = 64 * 1024
const SMALLEST = 4 * 1024
const SMALLEST_LOG2 = 12
const LARGEST = 8 * 1024 * 1024
const ORDERS = 12
const LEAVES = ARENA_BYTES / SMALLEST
const NONE = -1
const POISON = 0xcc

const CHECKED = process.env['VARVE_CHECK'] === '1'

const { Memory } = (globalThis as unknown as { WebAssembly: WebAssemblyFace }).WebAssembly

/** The memory itself, for the hash routines. */
export const arenaMemory: { readonly buffer: ArrayBuffer } = new Memory({
  initial: ARENA_BYTES / WASM_PAGE,
  maximum: ARENA_BYTES / WASM_PAGE,
})
/** All of it as bytes. */
export const arenaBytes: Uint8Array<ArrayBuffer> = new Uint8Array(arenaMemory.buffer)

/** A lent piece of memory. */
export class Slab {
  /** At least as many bytes as were asked for; not zeroed. */
  readonly bytes: Uint8Array<ArrayBuffer>
  /** The same bytes. */
  readonly view: DataView<ArrayBuffer>
  /** Where it lies in the arena; -1 for an ordinary buffer. */
  readonly address: number
  /** @internal */
  released: boolean

  /** @internal */
  constructor(buffer: ArrayBuffer, position: number, length: number, address: number) {
    this.bytes = new Uint8Array(buffer, position, length)
    this.view = new DataView(buffer, position, length)
    this.address = address
    this.released = false
  }
}

// Free slabs of one order are a list through these; a leaf is a slab's first 4 KiB.
const heads = new Int16Array(ORDERS).fill(NONE)
const nextFree = new Int16Array(LEAVES).fill(NONE)
const previousFree = new Int16Array(LEAVES).fill(NONE)
const freeOrder = new Int8Array(LEAVES).fill(NONE)
let bytesLent = 0

function pushFree(leaf: number, order: number): void {
  const next = heads[order]!
  nextFree[leaf] = next
  previousFree[leaf] = NONE
  if (next !== NONE) previousFree[next] = leaf
  heads[order] = leaf
  freeOrder[leaf] = order
}

function removeFree(leaf: number, order: number): void {
  const next = nextFree[leaf]!
  const previous = previousFree[leaf]!
  if (next !== NONE) previousFree[next] = previous
  if (previous === NONE) heads[order] = next
  else nextFree[previous] = next
  freeOrder[leaf] = NONE
}

/** Everything from 64 KiB on: one slab of each size up to 4 MiB, then the largest ones. */
function freeEverything(): void {
  for (let address = FIRST_SLAB; address < ARENA_BYTES;) {
    const bytes = Math.min(address, LARGEST)
    pushFree(address / SMALLEST, orderOf(bytes))
    address += bytes
  }
}

function orderOf(bytes: number): number {
  return bytes <= SMALLEST ? 0 : 32 - Math.clz32(bytes - 1) - SMALLEST_LOG2
}

/** The first leaf of a slab of this order, split off a larger one where needed; -1 when there is none. */
function takeLeaf(order: number): number {
  let found = order
  while (found < ORDERS && heads[found] === NONE) found++
  if (found === ORDERS) return NONE
  const leaf = heads[found]!
  removeFree(leaf, found)
  while (found > order) {
    found--
    pushFree(leaf + (1 << found), found)
  }
  return leaf
}

function returnLeaf(leaf: number, order: number): void {
  while (order < ORDERS - 1) {
    const buddy = leaf ^ (1 << order)
    if (freeOrder[buddy] !== order) break
    removeFree(buddy, order)
    leaf = Math.min(leaf, buddy)
    order++
  }
  pushFree(leaf, order)
}

/** Lends at least `bytes`: from the arena, or an ordinary buffer when it is exhausted or `bytes` is above 8 MiB. */
export function allocate(bytes: number): Slab {
  invariant(Number.isSafeInteger(bytes) && bytes >= 0, `a slab size, not ${bytes}`)
  const order = orderOf(bytes)
  const leaf = bytes > LARGEST ? NONE : takeLeaf(order)
  if (leaf === NONE) return new Slab(new ArrayBuffer(bytes), 0, bytes, -1)
  const address = leaf * SMALLEST
  const length = SMALLEST << order
  bytesLent += length
  return new Slab(arenaMemory.buffer, address, length, address)
}

/** Memory apart from the arena: for bytes that a caller looks into. */
export function ownSlab(bytes: number): Slab {
  return new Slab(Buffer.allocUnsafeSlow(bytes).buffer, 0, bytes, -1)
}

/** Takes a slab back. Nobody may touch its bytes from here on. */
export function release(slab: Slab): void {
  invariant(!slab.released, 'I12: a slab is released once')
  slab.released = true
  if (CHECKED) slab.bytes.fill(POISON)
  if (slab.address === -1) return
  bytesLent -= slab.bytes.length
  returnLeaf(slab.address / SMALLEST, orderOf(slab.bytes.length))
}

/** How much of the arena is lent out. */
export function arenaBytesLent(): number {
  return bytesLent
}

freeEverything()
