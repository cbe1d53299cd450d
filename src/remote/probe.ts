/**
 * Whether a bucket can be relied on, tried out when a tier attaches.
 *
 * Owns     two objects under `probe/`, of new names each time, which it removes again.
 * Holds    Writes first, which makes the directory of a tier in one. Then it asks: does the bucket keep conditions, one
 *          by one and in a race; are ranges what was asked for; does a list show, and a deletion take away, what was
 *          just done. The first thing that is not so is the one that is named.
 * Crash    Leaves objects under `probe/`, which mean nothing.
 */
import { VarveError } from '../base/errors.ts'
import { ObjectStoreError, type ObjectVersion, type WriteResult } from '../base/object-store.ts'
import type { Random } from '../base/random.ts'
import type { CallLimits } from './attempts.ts'
import type { ObjectCalls } from './object-calls.ts'
import { remoteError } from './remote-error.ts'

export const PROBE_PREFIX = 'probe/'
const NAME_BYTES = 16
const BODY_BYTES = 1000
const RACERS = 8
const RANGES = [
  [0, 1],
  [BODY_BYTES - 1, BODY_BYTES],
  [10, 500],
  [0, BODY_BYTES],
] as const

/** What was asked of a bucket that does not do it: the details of REMOTE_UNSUITABLE. */
export type Question = 'create' | 'replace' | 'create-race' | 'replace-race' | 'version' | 'range' | 'list' | 'delete'

const FAULTS: { readonly [Q in Question]: string } = {
  create: 'it writes over an object that was to be new, so two stores would overwrite each other',
  replace: 'it writes over an object in another version than was named, so two stores would overwrite each other',
  'create-race': 'of several writers of one new object not exactly one wins, so two stores would overwrite each other',
  'replace-race': 'of several writers of one version not exactly one wins, so two stores would overwrite each other',
  version: 'it gives an object back otherwise than it was written',
  range: 'it does not answer with the bytes that were asked for',
  list: 'its lists do not show what was written last',
  delete: 'it keeps what it says that it has deleted',
}

/** Throws REMOTE_UNSUITABLE, or REMOTE_UNAVAILABLE when the bucket cannot be asked. */
export async function probeBucket(calls: ObjectCalls, random: Random, limits: CallLimits = {}): Promise<void> {
  const probe = new Probe(calls, random, limits)
  try {
    await probe.run()
  } catch (error) {
    await probe.cleanUp()
    throw remoteError(error, null)
  }
}

class Probe {
  readonly #calls: ObjectCalls
  readonly #random: Random
  readonly #limits: CallLimits
  readonly #name: string
  readonly #racing: string

  constructor(calls: ObjectCalls, random: Random, limits: CallLimits) {
    this.#calls = calls
    this.#random = random
    this.#limits = limits
    const place = PROBE_PREFIX + Buffer.from(random.bytes(NAME_BYTES)).toString('hex')
    this.#name = `${place}-a`
    this.#racing = `${place}-b`
  }

  async run(): Promise<void> {
    const { version, body } = await this.#askConditions()
    await this.#askReads(version, body)
    await this.#askRaces()
    await this.#askList()
    await this.#askDelete()
  }

  /** Whatever goes wrong here has gone wrong before, or means nothing. */
  async cleanUp(): Promise<void> {
    const isOver = (): boolean => this.#limits.signal?.aborted ?? false
    if (isOver()) return
    try {
      await this.#calls.delete([this.#name, this.#racing], this.#limits)
    } catch (error) {
      if (!(error instanceof ObjectStoreError) && !isOver()) throw error
    }
  }

  async #askConditions(): Promise<{ readonly version: ObjectVersion; readonly body: Uint8Array }> {
    const first = await this.#calls.createOnce(this.#name, this.#body(), this.#limits)
    if (first.kind !== 'written') throw this.#unsuitable('create')
    await this.#refused('create', this.#calls.createOnce(this.#name, this.#body(), this.#limits))
    const body = this.#body()
    const second = await this.#calls.replaceOnce(this.#name, body, first.version, this.#limits)
    if (second.kind !== 'written') throw this.#unsuitable('replace')
    await this.#refused('replace', this.#calls.replaceOnce(this.#name, this.#body(), first.version, this.#limits))
    // Some take a version of what is not there for a condition that holds.
    await this.#refused('replace', this.#calls.replaceOnce(this.#racing, this.#body(), first.version, this.#limits))
    return { version: second.version, body }
  }

  async #askReads(version: ObjectVersion, body: Uint8Array): Promise<void> {
    const whole = await this.#calls.read(this.#name, this.#limits)
    const isAsWritten = whole.kind === 'read' && whole.version === version && Buffer.compare(whole.bytes, body) === 0
    if (!isAsWritten) throw this.#unsuitable('version')
    const unchanged = await this.#calls.read(this.#name, { ...this.#limits, unlessVersion: version })
    if (unchanged.kind !== 'unchanged') throw this.#unsuitable('version')
    for (const [start, end] of RANGES) {
      const part = await this.#range(start, end)
      if (part === undefined || Buffer.compare(part, body.subarray(start, end)) !== 0) throw this.#unsuitable('range')
    }
    if ((await this.#range(BODY_BYTES - 1, BODY_BYTES + 1)) !== undefined) throw this.#unsuitable('range')
  }

  async #askRaces(): Promise<void> {
    const creates = await this.#race((body) => this.#calls.createOnce(this.#racing, body, this.#limits))
    if (creates === undefined) throw this.#unsuitable('create-race')
    const replacing = (body: Uint8Array): Promise<WriteResult> =>
      this.#calls.replaceOnce(this.#racing, body, creates, this.#limits)
    if ((await this.#race(replacing)) === undefined) throw this.#unsuitable('replace-race')
  }

  async #askList(): Promise<void> {
    const prefix = this.#name.slice(0, -1)
    const all = await this.#calls.list(prefix, undefined, 10, this.#limits)
    const rest = await this.#calls.list(prefix, this.#name, 10, this.#limits)
    const names = [...all, ...rest].map(({ name }) => name)
    const isSound = names.join() === [this.#name, this.#racing, this.#racing].join()
    if (!isSound || all.some(({ size }) => size !== BODY_BYTES)) throw this.#unsuitable('list')
  }

  async #askDelete(): Promise<void> {
    const failed = await this.#calls.delete([this.#name, this.#racing], this.#limits)
    for (const error of failed.values()) throw error
    const found = await this.#calls.read(this.#name, this.#limits)
    const listed = await this.#calls.list(this.#name.slice(0, -1), undefined, 10, this.#limits)
    if (found.kind !== 'absent' || listed.length > 0) throw this.#unsuitable('delete')
  }

  /** The version of the only one that wins, if what stands there is what it wrote. */
  async #race(write: (body: Uint8Array) => Promise<WriteResult>): Promise<ObjectVersion | undefined> {
    const bodies = Array.from({ length: RACERS }, () => this.#body())
    const results = await Promise.all(bodies.map(write))
    const winners = results.flatMap((result, index) => (result.kind === 'written' ? [{ ...result, index }] : []))
    const [winner] = winners
    if (winner === undefined || winners.length > 1) return undefined
    const found = await this.#calls.read(this.#racing, this.#limits)
    const isTheirs = found.kind === 'read' && Buffer.compare(found.bytes, bodies[winner.index] ?? this.#body()) === 0
    return isTheirs ? winner.version : undefined
  }

  /** Undefined: the bucket has said itself that this is not all of it. */
  async #range(start: number, end: number): Promise<Uint8Array | undefined> {
    try {
      const result = await this.#calls.read(this.#name, { ...this.#limits, range: { start, end } })
      return result.kind === 'read' ? result.bytes : new Uint8Array(0)
    } catch (error) {
      if (error instanceof ObjectStoreError && error.failure === 'truncated') return undefined
      throw error
    }
  }

  async #refused(question: Question, writing: Promise<WriteResult>): Promise<void> {
    if ((await writing).kind === 'written') throw this.#unsuitable(question)
  }

  /** No two are equal: that tells our writes from others'. */
  #body(): Uint8Array {
    return this.#random.bytes(BODY_BYTES)
  }

  #unsuitable(probe: Question): VarveError<'REMOTE_UNSUITABLE'> {
    const what = `${this.#calls.place} cannot be a tier: ${FAULTS[probe]}.`
    const text = `${what} Use a server that keeps the promises of S3 or of Google Cloud Storage.`
    return new VarveError('REMOTE_UNSUITABLE', text, { probe })
  }
}
