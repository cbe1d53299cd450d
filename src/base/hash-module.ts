/**
 * The hash routines, started over the arena's memory.
 *
 * Owns     the one instance per thread. `crc32c.ts` and `siphash.ts` are its faces; nothing else calls it.
 * Holds    Addresses are positions in the arena. Its own first 20 KiB (tables, results) are laid out in
 *          `scripts/wasm/hashes.wat`.
 */
import { arenaMemory } from './arena.ts'
import { HASH_CODE } from './hash-code.ts'

/** What `hashes.wat` exports. All numbers are 32 bits wide; results come back signed. */
export interface HashRoutines {
  start(): void
  crc32c(crc: number, address: number, end: number): number
  siphash(k0: number, k1: number, k2: number, k3: number, address: number, length: number): void
  sipStart(k0: number, k1: number, k2: number, k3: number): void
  sipBlocks(address: number, end: number): void
  sipEnd(address: number, end: number, total: number): void
}

interface WebAssemblyFace {
  readonly Module: new (code: Uint8Array) => object
  readonly Instance: new (module: object, imports: object) => { readonly exports: unknown }
}

/** Where SipHash leaves its sixteen bytes. */
export const SIPHASH_RESULT: number = 16 * 1024

function start(): HashRoutines {
  const { Module, Instance } = (globalThis as unknown as { WebAssembly: WebAssemblyFace }).WebAssembly
  const module = new Module(Buffer.from(HASH_CODE, 'base64'))
  const routines = new Instance(module, { arena: { memory: arenaMemory } }).exports as HashRoutines
  routines.start()
  return routines
}

export const hashRoutines: HashRoutines = start()
