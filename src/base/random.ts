/**
 * The door to chance.
 *
 * Owns     the interface. The real one is `node-random.ts`, the simulated one `seeded-random.ts`.
 */

/** Chance as the store sees it. Made by the package; opaque. */
export interface Random {
  /** Marks the door. */
  readonly '~varve': 'random'
  /** @internal Fresh bytes, as many as asked. */
  bytes(length: number): Uint8Array<ArrayBuffer>
  /** @internal In [0, 1). */
  fraction(): number
}
