/**
 * What the tests of the key map share: identities that are as bad as wanted, and a log with a map over it that is used
 * as its contract says.
 */
import { KeyMap } from '../../src/index/key-map.ts'
import type { KeyIdentity } from '../../src/index/key-record.ts'

/** A number's bits, mixed. */
export function mix(value: number): number {
  let x = value | 0
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d)
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b)
  return (x ^ (x >>> 16)) >>> 0
}

/** An identity that is reused, as that of a hasher. */
export class TestIdentity implements KeyIdentity {
  word0 = 0
  word1 = 0
  word2 = 0

  /** A good identity of `n`. */
  set(n: number): this {
    this.word0 = mix(n * 2 + 1)
    this.word1 = mix(n ^ 0x5bd1e995)
    this.word2 = mix(n + 77)
    return this
  }

  /** One of `2 ** bits` identities. */
  setWeak(n: number, bits: number): this {
    return this.set(mix(n) % 2 ** bits)
  }
}

export interface Logged {
  readonly key: string
  readonly bytes: number
  readonly isTombstone: boolean
}

/** A log of records with a key map, whose identities have few bits. */
export class MappedLog {
  readonly map: KeyMap = new KeyMap()
  /** By offset; undefined where none is retained. */
  readonly records: (Logged | undefined)[] = []
  /** Bytes of the records that are some key's newest, as the map's answers tell them. */
  liveBytes = 0
  readonly #bits: number
  readonly #identity = new TestIdentity()

  constructor(bits: number) {
    this.#bits = bits
  }

  append(record: Logged): void {
    const { map } = this
    const offset = this.records.push(record) - 1
    const identity = this.#identityOf(record.key)
    const put = map.put(identity, offset, record.bytes, record.isTombstone)
    if (put === 'contested') this.#putByKey(record, offset)
    else {
      this.liveBytes += record.bytes
      if (put === 'replaced') this.liveBytes -= map.record.bytes
    }
  }

  /** The offset of a key's newest record. */
  get(key: string): number | undefined {
    const { map } = this
    const identity = this.#identityOf(key)
    const found = map.get(identity)
    if (found === 'absent') return undefined
    if (found === 'found') {
      if (this.records[map.record.offset]?.key === key) return map.record.offset
      this.#contest(identity)
    }
    const { collisions } = map
    return collisions.get(Buffer.from(key)) === 'found' ? collisions.record.offset : undefined
  }

  /** Takes a key out of the log, if its newest record is the one at `offset`. */
  remove(key: string, offset: number): boolean {
    const { map } = this
    const bytes = this.records[offset]?.bytes ?? 0
    let removed = map.remove(this.#identityOf(key), offset)
    if (removed === 'contested') removed = map.collisions.remove(Buffer.from(key), offset)
    if (removed !== 'removed') return false
    this.liveBytes -= bytes
    for (const [offset, record] of this.records.entries()) if (record?.key === key) this.records[offset] = undefined
    return true
  }

  #identityOf(key: string): TestIdentity {
    return this.#identity.setWeak(Number(key), this.#bits)
  }

  #contest(identity: TestIdentity): void {
    const { map } = this
    if (map.contest(identity, this.records.length)) this.liveBytes -= map.record.bytes
    const contested = { ...identity }
    for (const [offset, record] of this.records.entries()) {
      if (record === undefined || this.#identityOf(record.key).word0 !== contested.word0) continue
      this.#putByKey(record, offset)
    }
    map.contest(contested, 0)
  }

  #putByKey(record: Logged, offset: number): void {
    const { collisions } = this.map
    const put = collisions.put(Buffer.from(record.key), offset, record.bytes, record.isTombstone)
    if (put === 'older') return
    this.liveBytes += record.bytes
    if (put === 'replaced') this.liveBytes -= collisions.record.bytes
  }
}
