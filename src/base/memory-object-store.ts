/**
 * A bucket in memory, with the faults of real ones.
 *
 * Owns     the simulated twin of the door to a bucket. Several clients may share one bucket: each has its own faults.
 * Holds    Without faults: every condition and checksum is checked, every answer is of the newest state, versions never
 *          repeat. Calls complete by microtasks only. Every fault is asked for by name or drawn from a seed.
 * Crash    A bucket survives its clients. A late write takes effect however its client fares.
 */
import { crc32c } from './crc32c.ts'
import { crc32Of } from './node-crc32.ts'
import { checkObjectName, compareNames } from './object-name.ts'
import {
  MOST_READ_BYTES,
  ObjectStoreError,
  type BodyChecksum,
  type BodySource,
  type CallOptions,
  type ListedObject,
  type ListOptions,
  type ObjectStat,
  type ObjectStore,
  type ObjectVersion,
  type ReadOptions,
  type ReadResult,
  type WriteOptions,
  type WriteResult,
} from './object-store.ts'
import type { Random } from './random.ts'

export type ObjectOperation = 'create' | 'replace' | 'read' | 'stat' | 'list' | 'delete'

/**
 * `before`: fails and has no effect, and says so. `after`: takes effect, and the answer is lost. `lost`: has no effect,
 * and nobody can tell. `late`: no answer, and it takes effect some calls later, its condition checked then. `throttled`
 * and `denied`: refused. `truncated`: a body ends early.
 */
export type ObjectFault = 'before' | 'after' | 'lost' | 'late' | 'throttled' | 'denied' | 'truncated'

/** How the bucket may deviate from a perfect one. */
export interface BucketFlaws {
  /** Writes go through whatever their condition says. */
  ignoresConditions?: boolean | undefined
  /** Lists show the bucket as it was so many writes ago. */
  listLag?: number | undefined
}

interface StoredObject {
  readonly bytes: Uint8Array
  readonly version: ObjectVersion
  readonly checksum: BodyChecksum
  readonly modifiedMs: number
}

interface LateWrite {
  readonly dueCall: number
  readonly apply: () => void
}

const LATE_CALLS = 3

/** What clients share: the objects, and what is still on its way. */
export class MemoryBucket {
  readonly objects: Map<string, StoredObject> = new Map()
  readonly flaws: BucketFlaws = {}
  /** Time of the objects; a test may set its clock here. */
  now: () => number = () => 0
  #versions = 0
  #calls = 0
  #late: LateWrite[] = []
  readonly #history: ReadonlyMap<string, StoredObject>[] = []

  /** Names of all objects, sorted. */
  names(): string[] {
    return [...this.objects.keys()].sort(compareNames)
  }

  /** Each call lets late writes arrive that are due. */
  countCall(): void {
    this.#calls++
    this.#arrive((write) => write.dueCall <= this.#calls)
  }

  /** Every late write arrives now. */
  settle(): void {
    this.#arrive(() => true)
  }

  putLate(apply: () => void): void {
    this.#late.push({ dueCall: this.#calls + LATE_CALLS, apply })
  }

  /** `condition`: null for a new object, else the version that it must have. */
  put(name: string, bytes: Uint8Array, condition: ObjectVersion | null, checksum: BodyChecksum): WriteResult {
    const current = this.objects.get(name)
    const holds = condition === null ? current === undefined : current?.version === condition
    if (!holds && this.flaws.ignoresConditions !== true) return { kind: 'refused' }
    this.#remember()
    const version = `v${++this.#versions}`
    this.objects.set(name, { bytes, version, checksum, modifiedMs: this.now() })
    return { kind: 'written', version }
  }

  remove(name: string): void {
    this.#remember()
    this.objects.delete(name)
  }

  listed(): ReadonlyMap<string, StoredObject> {
    const lag = this.flaws.listLag ?? 0
    return lag === 0 ? this.objects : (this.#history.at(-lag) ?? this.#history[0] ?? this.objects)
  }

  #remember(): void {
    const lag = this.flaws.listLag ?? 0
    if (lag === 0) return
    this.#history.push(new Map(this.objects))
    if (this.#history.length > lag) this.#history.shift()
  }

  #arrive(isDue: (write: LateWrite) => boolean): void {
    const due = this.#late.filter(isDue)
    this.#late = this.#late.filter((write) => !due.includes(write))
    for (const write of due) write.apply()
  }
}

/** Faults at random: of each call, one in `1 / rate` gets one of `kinds`. */
export interface RandomFaults {
  readonly random: Random
  readonly rate: number
  readonly kinds: readonly ObjectFault[]
}

/** One client of a bucket in memory. */
export class MemoryObjectStore implements ObjectStore {
  readonly '~varve' = 'objectStore' as const
  readonly place: string = 'memory://bucket'
  readonly bucket: MemoryBucket
  /** Faults at random, beside those of `failNext`. */
  faults: RandomFaults | undefined
  /** Calls so far by kind, for tests that count requests. */
  readonly requests: Map<ObjectOperation, number> = new Map()
  readonly #next = new Map<ObjectOperation, ObjectFault[]>()

  constructor(bucket: MemoryBucket = new MemoryBucket()) {
    this.bucket = bucket
  }

  /** Names of all objects, sorted. */
  objects(): readonly string[] {
    return this.bucket.names()
  }

  /** The next such call has this fault. Asked twice, the next two have. */
  failNext(operation: ObjectOperation, fault: ObjectFault): void {
    this.#next.set(operation, [...(this.#next.get(operation) ?? []), fault])
  }

  async create(name: string, body: Uint8Array | BodySource, options: WriteOptions): Promise<WriteResult> {
    const bytes = body instanceof Uint8Array ? body : await body.read(0, body.size)
    if (bytes.length !== (body instanceof Uint8Array ? body.length : body.size)) throw failed('truncated', name)
    return this.#write('create', name, bytes, null, options)
  }

  replace(name: string, body: Uint8Array, version: ObjectVersion, options: WriteOptions): Promise<WriteResult> {
    return this.#write('replace', name, body, version, options)
  }

  async read(name: string, options: ReadOptions): Promise<ReadResult> {
    const fault = await this.#begin('read', name, options)
    const object = this.bucket.objects.get(name)
    if (object === undefined) return { kind: 'absent' }
    if (object.version === options.unlessVersion) return { kind: 'unchanged' }
    const { start, end } = options.range ?? { start: 0, end: object.bytes.length }
    if (start < 0 || end < start) throw failed('refused', name)
    if (fault === 'truncated' || end > object.bytes.length) throw failed('truncated', name)
    if (end - start > MOST_READ_BYTES) throw failed('refused', name)
    return { kind: 'read', bytes: object.bytes.slice(start, end), version: object.version }
  }

  async stat(name: string, options: CallOptions): Promise<ObjectStat | undefined> {
    await this.#begin('stat', name, options)
    const object = this.bucket.objects.get(name)
    if (object === undefined) return undefined
    return { name, size: object.bytes.length, version: object.version, checksum: object.checksum }
  }

  async list(prefix: string, options: ListOptions): Promise<ListedObject[]> {
    await this.#begin('list', prefix, options)
    const objects = this.bucket.listed()
    const { after } = options
    const isAsked = (name: string): boolean =>
      name.startsWith(prefix) && (after === undefined || compareNames(name, after) > 0)
    const names = [...objects.keys()].filter(isAsked).sort(compareNames).slice(0, options.limit)
    return names.map((name) => {
      const object = objects.get(name)
      return { name, size: object?.bytes.length ?? 0, modifiedMs: object?.modifiedMs ?? 0 }
    })
  }

  async delete(names: readonly string[], options: CallOptions): Promise<ReadonlyMap<string, ObjectStoreError>> {
    const fault = await this.#begin('delete', names[0] ?? '', options)
    const apply = (): void => names.forEach((name) => this.bucket.remove(name))
    if (fault === 'late') this.bucket.putLate(apply)
    else if (fault !== 'lost') apply()
    if (fault !== undefined) throw unanswered(names[0] ?? '')
    return new Map()
  }

  async #write(
    operation: 'create' | 'replace',
    name: string,
    body: Uint8Array,
    condition: ObjectVersion | null,
    options: WriteOptions,
  ): Promise<WriteResult> {
    checkObjectName(name, this.place)
    const bytes = new Uint8Array(body)
    if (!hasChecksum(bytes, options.checksum ?? {})) throw failed('checksum', name)
    const apply = (): WriteResult => this.bucket.put(name, bytes, condition, options.checksum ?? {})
    const fault = await this.#begin(operation, name, options)
    if (fault === 'late') this.bucket.putLate(apply)
    if (fault === 'late' || fault === 'lost') throw unanswered(name)
    const result = apply()
    if (fault !== undefined) throw unanswered(name)
    return result
  }

  /** Counts the call, lets others go first, throws what fails before any effect, answers the fault that does not. */
  async #begin(operation: ObjectOperation, name: string, options: CallOptions): Promise<ObjectFault | undefined> {
    this.requests.set(operation, (this.requests.get(operation) ?? 0) + 1)
    options.signal.throwIfAborted()
    await undefined
    options.signal.throwIfAborted()
    this.bucket.countCall()
    const fault = this.#next.get(operation)?.shift() ?? this.#drawFault()
    if (fault === 'before') throw failed('unavailable', name)
    if (fault === 'throttled' || fault === 'denied') throw failed(fault, name)
    const isRead = operation === 'read' || operation === 'stat' || operation === 'list'
    if (isRead && fault !== undefined && fault !== 'truncated') throw unanswered(name)
    return fault
  }

  #drawFault(): ObjectFault | undefined {
    if (this.faults === undefined || this.faults.random.fraction() >= this.faults.rate) return undefined
    return this.faults.kinds[Math.floor(this.faults.random.fraction() * this.faults.kinds.length)]
  }
}

function hasChecksum(bytes: Uint8Array, checksum: BodyChecksum): boolean {
  if (checksum.crc32 !== undefined && checksum.crc32 !== crc32Of(bytes)) return false
  return checksum.crc32c === undefined || checksum.crc32c === crc32c(bytes, 0, bytes.length)
}

function failed(failure: ObjectStoreError['failure'], name: string): ObjectStoreError {
  return new ObjectStoreError(failure, `The bucket in memory failed a call on '${name}': ${failure}.`, 'definite')
}

function unanswered(name: string): ObjectStoreError {
  return new ObjectStoreError('unavailable', `The bucket in memory gave no answer on '${name}'.`, 'indefinite')
}
