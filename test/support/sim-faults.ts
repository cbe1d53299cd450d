/**
 * What goes wrong, and when: errors after drawn calls, a full disk for a while, crash images and the crash itself at
 * drawn operations. It is the operation hook of the simulated file system.
 */
import type { SimulatedFileSystem } from '../../src/base/memory-file-system.ts'
import type { CrashProfile } from '../../src/base/sim-crash.ts'
import type { Operation, OperationKind } from '../../src/base/sim-core.ts'
import { errnoError } from '../../src/base/sim-errno.ts'
import type { FaultKind, SimConfig } from './sim-config.ts'
import type { Draw } from './sim-draw.ts'
import type { Reach } from './sim-reach.ts'

const CAPACITY = 2 ** 40

interface Moment {
  readonly number: number
  readonly phase: Operation['phase']
}

interface Fault {
  readonly kinds: ReadonlySet<OperationKind>
  readonly phase: Operation['phase']
  readonly errno: string
  /** Calls of these kinds to let pass. */
  left: number
}

const KINDS: { readonly [K in Exclude<FaultKind, 'full'>]: readonly OperationKind[] } = {
  sync: ['sync', 'syncDirectory'],
  write: ['write', 'truncate'],
  'short-write': ['write'],
  read: ['read'],
  open: ['open', 'create', 'stat', 'list'],
  names: ['rename', 'unlink', 'makeDirectory', 'removeDirectory', 'create'],
}

const REACH: { readonly [K in Exclude<FaultKind, 'full'>]: number } = {
  sync: 60,
  write: 120,
  'short-write': 120,
  read: 60,
  open: 60,
  names: 40,
}

export class Trouble {
  crashed = false
  /** Anything went wrong in this life, and whether a call that writes or syncs did. */
  failures = 0
  losesOs = false
  /** Space ran out in this life, and whether it is out now. */
  full = false
  wasFull = false
  readonly images: SimulatedFileSystem[] = []
  readonly #fs: SimulatedFileSystem
  readonly #profile: CrashProfile
  readonly #draw: Draw
  readonly #faults: Fault[] = []
  readonly #reached: (what: string) => void
  readonly #reach: Reach
  #crash: Moment | undefined
  #clones: Moment[] = []
  #onClone: (fs: SimulatedFileSystem) => void = () => undefined
  #fullAt = Infinity
  #emptyAt = Infinity
  #isPaused = false

  constructor(
    fs: SimulatedFileSystem,
    profile: CrashProfile,
    draw: Draw,
    reached: (what: string) => void,
    reach: Reach,
  ) {
    this.#fs = fs
    this.#profile = profile
    this.#draw = draw
    this.#reached = reached
    this.#reach = reach
    fs.onOperation((operation) => this.#look(operation))
  }

  /** Draws the faults of one life. */
  plan(config: SimConfig): void {
    const now = this.#fs.operationCount
    for (const kind of config.faults) {
      if (!this.#draw.chance(0.6)) continue
      if (kind === 'full') {
        this.#fullAt = now + this.#draw.int(1, 400)
        this.#emptyAt = this.#fullAt + this.#draw.int(1, 200)
        continue
      }
      const errno = kind === 'open' ? this.#draw.pick(['EMFILE', 'EIO']) : this.#draw.pick(['EIO', 'EIO', 'ENOSPC'])
      const phase = kind === 'short-write' ? 'within' : this.#draw.chance(0.25) ? 'after' : 'before'
      this.#faults.push({ kinds: new Set(KINDS[kind]), phase, errno, left: this.#draw.int(0, REACH[kind]) })
    }
  }

  /** The power fails within so many operations. */
  crashWithin(operations: number): void {
    this.#crash = this.#moment(operations)
  }

  /** Images of the disk as it may be after a crash at drawn operations. */
  cloneWithin(operations: number, count: number, onClone: (fs: SimulatedFileSystem) => void): void {
    this.#clones = Array.from({ length: count }, () => this.#moment(operations))
    this.#onClone = onClone
  }

  crashNow(): void {
    this.crashed = true
    this.#crash = undefined
    this.#reached(this.#profile === 'none' ? 'killed' : 'power cut')
    this.#fs.crash(this.#draw.int(0, 2 ** 30), this.#profile)
  }

  /** No faults while something is checked. */
  pause(): void {
    this.#isPaused = true
    this.makeRoom()
  }

  resume(): void {
    this.#isPaused = false
  }

  makeRoom(): void {
    if (this.full) this.#reached('space came back')
    this.full = false
    this.#emptyAt = Infinity
    this.#fs.setCapacity(CAPACITY)
  }

  get hasFaults(): boolean {
    return this.#faults.length > 0 || this.#fullAt !== Infinity
  }

  #moment(operations: number): Moment {
    const number = this.#fs.operationCount + this.#draw.int(1, operations)
    return { number, phase: this.#draw.pick(['before', 'after', 'within']) }
  }

  #look(operation: Operation): void {
    this.#reach.look(operation)
    if (this.#crash !== undefined && isAt(this.#crash, operation)) {
      this.crashNow()
      return
    }
    for (const clone of this.#clones) if (isAt(clone, operation)) this.#takeImage(clone)
    if (this.#isPaused) return
    if (operation.number >= this.#fullAt) this.#fill()
    if (operation.number >= this.#emptyAt) this.makeRoom()
    this.#fail(operation)
  }

  #takeImage(moment: Moment): void {
    this.#clones = this.#clones.filter((other) => other !== moment)
    this.#onClone(this.#fs.crashImage(this.#draw.int(0, 2 ** 30), this.#profile))
  }

  #fill(): void {
    this.#fullAt = Infinity
    this.full = true
    this.wasFull = true
    const free = this.#fs.freeBytesSync('/')
    this.#fs.setCapacity(CAPACITY - free + 4096 * this.#draw.int(0, 4))
  }

  #fail(operation: Operation): void {
    for (const [i, fault] of this.#faults.entries()) {
      if (fault.phase !== operation.phase || !fault.kinds.has(operation.kind)) continue
      // Nobody would have the descriptor.
      if (fault.phase === 'after' && (operation.kind === 'open' || operation.kind === 'create')) continue
      if (fault.left-- > 0) continue
      this.#faults.splice(i, 1)
      this.failures++
      if (fault.errno === 'ENOSPC' && operation.kind === 'write') this.wasFull = true
      this.losesOs ||= !(['read', 'open', 'stat', 'list'] as OperationKind[]).includes(operation.kind)
      this.#reached(`${fault.phase === 'within' ? 'short ' : ''}${operation.kind} failed`)
      throw errnoError(fault.errno, operation.kind, operation.path)
    }
  }
}

/** At the operation, or at the first one behind it when it had no such phase. */
function isAt(moment: Moment, operation: Operation): boolean {
  if (operation.number !== moment.number) return operation.number > moment.number
  return operation.phase === moment.phase
}
