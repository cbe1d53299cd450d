/**
 * A bucket as the engine uses it: calls that try again, and writes whose answer is known.
 *
 * Owns     telling a lost answer from a lost race. A conditional write that was done, and whose answer was lost, is
 *          refused when it is tried again; so what is refused is read back, and is ours when it is what we wrote.
 * Holds    That needs bodies that nobody else writes: whoever calls puts a nonce into them, or takes a name once only.
 *          `refused` says that another's write stands there; of a replacement, ours may have stood there before it.
 * Shared   Any number of calls. Which are under way at once is for the bucket to say (`attempts.ts`).
 */
import {
  ObjectStoreError,
  type BodyChecksum,
  type BodySource,
  type ByteRange,
  type ListedObject,
  type ObjectStat,
  type ObjectStore,
  type ObjectVersion,
  type ReadResult,
  type WriteResult,
} from '../base/object-store.ts'
import { checksumsOf, SourceFailed } from './body.ts'
import { Attempts, type AttemptDoors, type CallLimits } from './attempts.ts'

/** Answers of calls that carry no body. */
const SMALL_BYTES = 2 ** 20

export interface ReadCall extends CallLimits {
  readonly range?: ByteRange | undefined
  readonly unlessVersion?: ObjectVersion | undefined
}

export class ObjectCalls {
  readonly objects: ObjectStore
  readonly #attempts: Attempts

  constructor(objects: ObjectStore, doors: AttemptDoors) {
    this.objects = objects
    this.#attempts = new Attempts(objects.place, doors)
  }

  get place(): string {
    return this.objects.place
  }

  /** Tries of calls so far. */
  get tries(): number {
    return this.#attempts.tries
  }

  /** Calls that may be under way at once, now. */
  get limit(): number {
    return this.#attempts.limit
  }

  /** Writes a small new object. Its body holds a nonce. */
  createOnce(name: string, body: Uint8Array, limits: CallLimits = {}): Promise<WriteResult> {
    const call = {
      ...writing(name, body.length),
      attempt: async (signal: AbortSignal): Promise<WriteResult> => {
        const result = await this.objects.create(name, body, { signal })
        return result.kind === 'written' ? result : this.#readBack(name, body, 'create', signal)
      },
    }
    return this.#attempts.run(call, limits)
  }

  /** Writes over an object in one version. The body holds a nonce. */
  replaceOnce(name: string, body: Uint8Array, version: ObjectVersion, limits: CallLimits = {}): Promise<WriteResult> {
    const call = {
      ...writing(name, body.length),
      attempt: async (signal: AbortSignal): Promise<WriteResult> => {
        const result = await this.objects.replace(name, body, version, { signal })
        return result.kind === 'written' ? result : this.#readBack(name, body, 'replace', signal)
      },
    }
    return this.#attempts.run(call, limits)
  }

  /** Writes a new object of any size under a name that nobody else uses, ever. */
  uploadOnce(name: string, body: BodySource, checksum: BodyChecksum, limits: CallLimits = {}): Promise<WriteResult> {
    const call = {
      ...writing(name, body.size),
      attempt: async (signal: AbortSignal, mayBeDone: boolean): Promise<WriteResult> => {
        // Looking costs less than sending all of it again.
        const there = mayBeDone ? await this.objects.stat(name, { signal }) : undefined
        if (there !== undefined) return sameBody(name, there, body, checksum)
        const result = await this.objects.create(name, body, { signal, checksum })
        if (result.kind === 'written') return result
        const stat = await this.objects.stat(name, { signal })
        if (stat === undefined) throw vanished(this.place, name)
        return sameBody(name, stat, body, checksum)
      },
    }
    return this.#attempts.run(call, limits)
  }

  /** `bytes`: at most so many are expected, where no range says it. */
  read(name: string, options: ReadCall = {}, bytes: number = SMALL_BYTES): Promise<ReadResult> {
    const { range, unlessVersion, ...limits } = options
    const call = {
      ...reading(`reading '${name}'`, range === undefined ? bytes : range.end - range.start),
      attempt: (signal: AbortSignal): Promise<ReadResult> => this.objects.read(name, { signal, range, unlessVersion }),
    }
    return this.#attempts.run(call, limits)
  }

  stat(name: string, limits: CallLimits = {}): Promise<ObjectStat | undefined> {
    const attempt = (signal: AbortSignal): Promise<ObjectStat | undefined> => this.objects.stat(name, { signal })
    return this.#attempts.run({ ...reading(`looking up '${name}'`), attempt }, limits)
  }

  /** A page of at most `limit`; fewer are not the end, none are. */
  list(prefix: string, after: string | undefined, limit: number, limits: CallLimits = {}): Promise<ListedObject[]> {
    const attempt = (signal: AbortSignal): Promise<ListedObject[]> =>
      this.objects.list(prefix, { signal, after, limit })
    return this.#attempts.run({ ...reading(`listing '${prefix}'`), attempt }, limits)
  }

  /** Answers the names that could not be deleted, with the reasons. What is tried again is what failed. */
  async delete(names: readonly string[], limits: CallLimits = {}): Promise<ReadonlyMap<string, ObjectStoreError>> {
    let left = names
    let failed: ReadonlyMap<string, ObjectStoreError> = new Map()
    const attempt = async (signal: AbortSignal): Promise<void> => {
      failed = await this.objects.delete(left, { signal })
      left = [...failed.keys()]
      const passing = [...failed.values()].find((error) => error.retryable)
      if (passing !== undefined) throw passing
    }
    try {
      await this.#attempts.run({ what: 'deleting', bytes: SMALL_BYTES, isWrite: true, attempt }, limits)
    } catch (error) {
      // Those of the last try are told one by one.
      if (![...failed.values()].some((one) => one === error || one === (error as Error).cause)) throw error
    }
    return failed
  }

  async #readBack(
    name: string,
    body: Uint8Array,
    kind: 'create' | 'replace',
    signal: AbortSignal,
  ): Promise<WriteResult> {
    const found = await this.objects.read(name, { signal })
    if (found.kind === 'read' && Buffer.compare(found.bytes, body) === 0)
      return { kind: 'written', version: found.version }
    // A create is refused by what is there, and now it is gone.
    if (found.kind !== 'read' && kind === 'create') throw vanished(this.place, name)
    return { kind: 'refused' }
  }
}

function writing(name: string, bytes: number): { what: string; bytes: number; isWrite: true } {
  return { what: `writing '${name}'`, bytes, isWrite: true }
}

function reading(what: string, bytes = SMALL_BYTES): { what: string; bytes: number; isWrite: false } {
  return { what, bytes, isWrite: false }
}

/** A store knows one of the checksums; of what others wrote, maybe none: then it is not ours. */
async function sameBody(name: string, stat: ObjectStat, body: BodySource, known: BodyChecksum): Promise<WriteResult> {
  if (stat.size !== body.size) return { kind: 'refused' }
  const ours = await checksumsOf(body, known, name).catch((error: unknown) => {
    throw error instanceof SourceFailed ? error.reason : error
  })
  const { crc32, crc32c } = stat.checksum
  const isSame = (crc32 ?? ours.crc32) === ours.crc32 && (crc32c ?? ours.crc32c) === ours.crc32c
  const isKnown = crc32 !== undefined || crc32c !== undefined
  return isSame && isKnown ? { kind: 'written', version: stat.version } : { kind: 'refused' }
}

function vanished(place: string, name: string): ObjectStoreError {
  return new ObjectStoreError('conflict', `${place}: '${name}' was there and is not; it is tried again.`, 'indefinite')
}
