/**
 * What all descriptors and doors of one simulated file system share: the disk, the faults, and who looks on.
 *
 * Owns     the current disk and its generation, the errors to come, the operation count and trace hash, the counters
 *          of what was reached, the locks and watches, and the order in which asynchronous calls take effect.
 * Holds    Asynchronous calls complete by microtasks only: one, or with `interleave` a random number, before and
 *          after they take effect. Everything is a function of the calls and the seeds. A call of a door or descriptor
 *          of an older generation (before a crash) fails with ESTALE and changes nothing.
 */
import { invariant } from './invariant.ts'
import type { Random } from './random.ts'
import { namesOf, type SimDisk } from './sim-disk.ts'
import { errnoError } from './sim-errno.ts'

export type OperationKind =
  | 'open'
  | 'create'
  | 'close'
  | 'size'
  | 'read'
  | 'write'
  | 'truncate'
  | 'sync'
  | 'syncDirectory'
  | 'stat'
  | 'list'
  | 'makeDirectory'
  | 'removeDirectory'
  | 'rename'
  | 'unlink'
  | 'link'
  | 'freeBytes'
  | 'lock'

/** One call as a hook sees it. */
export interface Operation {
  /** From 1, in the order in which calls take effect. */
  readonly number: number
  readonly kind: OperationKind
  readonly path: string
  /** In the file; the new size of a truncation; else 0. */
  readonly position: number
  readonly length: number
  /** `'within'`: a write that was split has taken effect in part. */
  readonly phase: 'before' | 'within' | 'after'
}

/**
 * Hears of every operation. It may throw (before: the call fails as with that error and does not take effect; after:
 * it took effect and fails), take a crash image, or crash the file system.
 */
export type OperationHook = (operation: Operation) => void

export type FaultOperation = 'open' | 'read' | 'write' | 'sync' | 'truncate' | 'rename' | 'remove'

/** How the simulation may deviate from the plainest run. */
export interface SimOptions {
  /** Asynchronous calls take effect and complete in an order drawn from this. Default: the order of the calls. */
  readonly interleave?: Random | undefined
  /** Each write takes effect in two steps, and hooks see the state between them. Default: with `interleave`. */
  readonly splitWrites?: boolean | undefined
  /** Descriptors that can be open at once; more is EMFILE. */
  readonly openLimit?: number | undefined
}

export interface SimCall {
  readonly kind: OperationKind
  readonly path: string
  readonly position: number
  readonly length: number
  /** The generation that the caller belongs to. */
  readonly generation: number
}

const MOST_EXTRA_HOPS = 4

const FAULT_OF: ReadonlyMap<OperationKind, FaultOperation> = new Map([
  ['open', 'open'],
  ['create', 'open'],
  ['read', 'read'],
  ['write', 'write'],
  ['sync', 'sync'],
  ['syncDirectory', 'sync'],
  ['truncate', 'truncate'],
  ['rename', 'rename'],
  ['unlink', 'remove'],
  ['removeDirectory', 'remove'],
])

export class SimCore {
  disk: SimDisk
  generation = 1
  descriptors = 0
  options: SimOptions = {}
  hook: OperationHook | undefined
  operationCount = 0
  /** Every rule of the door that was broken, in words. */
  readonly misuses: string[] = []
  readonly counters: Map<string, number>
  /** Lock files that are held, and by whom. */
  readonly locks: Map<string, symbol> = new Map()
  readonly #faults = new Map<FaultOperation, string[]>()
  readonly #watches = new Map<string, Set<() => void>>()
  #traceLow = 0x811c_9dc5
  #traceHigh = 0x1234_5678

  constructor(disk: SimDisk, counters: Map<string, number>) {
    this.disk = disk
    this.counters = counters
  }

  /** Two runs with the same calls and seeds have the same hash. */
  get traceHash(): number {
    return (this.#traceHigh & 0x1f_ffff) * 0x1_0000_0000 + (this.#traceLow >>> 0)
  }

  get splitsWrites(): boolean {
    return this.options.splitWrites ?? this.options.interleave !== undefined
  }

  /** The disk changes under everybody: whatever was open is stale, locks are free. */
  replaceDisk(disk: SimDisk): void {
    this.disk = disk
    this.generation++
    this.descriptors = 0
    this.locks.clear()
    this.#watches.clear()
  }

  failNext(operation: FaultOperation, code: string): void {
    this.#faults.set(operation, [...(this.#faults.get(operation) ?? []), code])
  }

  /** Stale, then fault, then hook, then its effect. `onFault` hears the errno before it is thrown. */
  run<T>(call: SimCall, effect: () => T, onFault?: (errno: string) => void): T {
    this.checkAlive(call)
    const number = ++this.operationCount
    this.#trace(call)
    const fault = this.#takeFault(call, number)
    if (fault !== undefined) {
      const errno = (fault as { code?: unknown }).code
      if (typeof errno === 'string') onFault?.(errno)
      this.reached(`fault: ${call.kind}`)
      throw fault
    }
    // A hook may have crashed the file system.
    this.checkAlive(call)
    const result = effect()
    this.hook?.({ ...call, number, phase: 'after' })
    return result
  }

  within(call: SimCall): void {
    this.hook?.({ ...call, number: this.operationCount, phase: 'within' })
    this.checkAlive(call)
  }

  checkAlive(call: Pick<SimCall, 'kind' | 'path' | 'generation'>): void {
    if (call.generation !== this.generation) throw errnoError('ESTALE', call.kind, call.path)
  }

  /** Lets others go first. */
  async pause(): Promise<void> {
    await undefined
    const { interleave } = this.options
    if (interleave === undefined) return
    for (let hops = Math.floor(interleave.fraction() * (MOST_EXTRA_HOPS + 1)); hops > 0; hops--) await undefined
  }

  checkUse(isRight: boolean, what: string): void {
    if (!isRight) this.misuses.push(what)
    invariant(isRight, what)
  }

  reached(what: string): void {
    this.counters.set(what, (this.counters.get(what) ?? 0) + 1)
  }

  takeDescriptor(operation: string, path: string): void {
    if (this.descriptors >= (this.options.openLimit ?? Infinity)) throw errnoError('EMFILE', operation, path)
    this.descriptors++
  }

  watch(path: string, changed: () => void): () => void {
    const name = normalPath(path)
    const all = this.#watches.get(name) ?? new Set()
    // A callback of its own, so that the same function can watch twice.
    const call = (): void => changed()
    this.#watches.set(name, all.add(call))
    return () => void all.delete(call)
  }

  notify(path: string): void {
    if (this.#watches.size === 0) return
    for (const call of this.#watches.get(normalPath(path)) ?? []) void this.pause().then(call)
  }

  #takeFault(call: SimCall, number: number): unknown {
    const operation = FAULT_OF.get(call.kind)
    const code = operation === undefined ? undefined : this.#faults.get(operation)?.shift()
    if (code !== undefined) return errnoError(code, call.kind, call.path)
    try {
      this.hook?.({ ...call, number, phase: 'before' })
    } catch (error) {
      return error
    }
    return undefined
  }

  #trace(call: SimCall): void {
    this.#mix(call.kind)
    this.#mix(call.path)
    this.#mixNumber(call.position)
    this.#mixNumber(call.length)
  }

  #mix(text: string): void {
    for (let index = 0; index < text.length; index++) this.#mixNumber(text.charCodeAt(index))
  }

  #mixNumber(value: number): void {
    this.#traceLow = Math.imul(this.#traceLow ^ (value | 0), 0x0100_0193)
    this.#traceHigh = Math.imul(
      this.#traceHigh ^ (this.#traceLow >>> 11) ^ Math.floor(value / 0x1_0000_0000),
      0x85eb_ca6b,
    )
  }
}

/** One spelling for every path to the same place. */
export function normalPath(path: string): string {
  return `/${namesOf(path).join('/')}`
}
