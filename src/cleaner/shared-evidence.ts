/**
 * Evidence that the cleaner has from memory which another thread shares with it.
 *
 * Owns     what crosses to the thread, and the looks from there.
 * Holds    A key map is written while it is asked; an answer counts only if it stood still meanwhile. Where there is
 *          none the group ends with `EvidenceLost` and counts for nothing: a record that was kept just because nobody
 *          could say would come back when its tombstone, about which somebody could, is gone.
 * Shared   one group; any number of looks beside the writer.
 * @hot
 */
import type { KeyHasher } from '../base/siphash.ts'
import { KeyMapReader } from '../index/key-map-reader.ts'
import type { KeyFound } from '../index/key-record.ts'
import type { KeyEvidence } from './keep.ts'
import { OffsetMap } from './offset-map.ts'
import type { FilledOffsetMap } from './offset-map.ts'

/** Where the evidence lies. What lies below `upTo` is proof. */
export type SharedEvidence =
  | { readonly kind: 'key-map'; readonly upTo: number; readonly buffer: SharedArrayBuffer }
  | { readonly kind: 'offset-map'; readonly upTo: number; readonly map: FilledOffsetMap }

/** The key map went to other memory, or did not stand still: the group is to be done anew, or beside the map. */
export class EvidenceLost extends Error {}

const NONE = -1
/** Several keys share the identity: an offset that is never believed. */
const UNKNOWN = Infinity
/** How often the map is left alone for a moment before it is given up: its writer may not have a processor. */
const MOST_RESTS = 1000

/** `rest` holds up this thread for a moment. */
export function sharedEvidence(shared: SharedEvidence, hasher: KeyHasher, rest: () => void): KeyEvidence {
  if (shared.kind === 'key-map') return new KeyMapEvidence(shared.buffer, shared.upTo, hasher, rest)
  return offsetMapEvidence(OffsetMap.filled(shared.map, hasher), shared.upTo)
}

/** What a filled map proves; what it does not hold, nothing proves. */
export function offsetMapEvidence(map: OffsetMap, upTo: number): KeyEvidence {
  return { upTo, newestOffset: (bytes, start, end) => map.newestOffset(bytes, start, end), believes: () => false }
}

/** What a map proves that is written meanwhile; all of it was folded from committed records. */
class KeyMapEvidence implements KeyEvidence {
  readonly upTo: number
  readonly #reader: KeyMapReader
  readonly #hasher: KeyHasher
  readonly #rest: () => void

  constructor(buffer: SharedArrayBuffer, upTo: number, hasher: KeyHasher, rest: () => void) {
    this.upTo = upTo
    this.#reader = new KeyMapReader(buffer)
    this.#hasher = hasher
    this.#rest = rest
  }

  newestOffset(bytes: Uint8Array, start: number, end: number): number {
    this.#hasher.hash(bytes, start, end)
    const found = this.#find()
    if (found === 'found') return this.#reader.record.offset
    return found === 'absent' ? NONE : UNKNOWN
  }

  believes(offset: number): boolean {
    return offset !== UNKNOWN
  }

  #find(): KeyFound {
    for (let rests = 0; rests < MOST_RESTS; rests++) {
      const found = this.#reader.get(this.#hasher)
      if (found === 'replaced') throw new EvidenceLost('the key map went to other memory')
      if (found !== 'busy') return found
      this.#rest()
    }
    throw new EvidenceLost('the key map did not stand still')
  }
}
