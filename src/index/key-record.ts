/** What goes into a key map and what it answers. */

/** A key's identity; `KeyHasher` is one. Of `word2` the upper half counts. */
export interface KeyIdentity {
  readonly word0: number
  readonly word1: number
  readonly word2: number
}

/** What is known of a key's newest record; reused by who answers. */
export class KeyRecord {
  offset = -1
  bytes = 0
  isTombstone = false
}

export type KeyFound = 'found' | 'absent' | 'contested'
/** `'older'`: a record at least as new stands there, and stays. `'contested'`: the map keeps no record of it. */
export type KeyPut = 'added' | 'replaced' | 'older' | 'contested'
/** `'absent'`: the record does not stand there. */
export type KeyRemoved = 'removed' | 'absent' | 'contested'
