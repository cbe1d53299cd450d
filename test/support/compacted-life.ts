/**
 * Lives of a compacted log, step by step, with the model at its side: it is cleaned again and again, by itself and when
 * it is asked for, beside appends, and crashes at any operation of the file system.
 *
 * Holds    Whatever was acknowledged at `disk` and not cleaned survives; offsets and order stay; what readers of this
 *          store, of another process and of an earlier open get is what the rules of cleaning leave. Key map, live
 *          bytes and producers are as if nothing had been cleaned, but for keys that are gone.
 */
import { expect } from 'vitest'
import { cleanChannel } from '../../src/base/diagnostics.ts'
import { VarveError } from '../../src/base/errors.ts'
import type { SimulatedFileSystem } from '../../src/base/memory-file-system.ts'
import type { OperationKind } from '../../src/base/sim-core.ts'
import { testClock } from '../../src/base/test-clock.ts'
import type { TopicConfig } from '../../src/varve.ts'
import { CompactedModel, NOBODY } from './compacted-model.ts'
import { expectLiveKeys } from './live-keys.ts'
import { isOfCrash, producersOf } from './producer-life.ts'
import { expectedProducers } from './producer-life.ts'
import { expectCleanedLookups } from './lookups.ts'
import { after } from './producer-model.ts'
import type { Entry } from './producer-model.ts'
import { FollowerRig, ProducerRig, readBeside } from './producer-rig.ts'
import type { Handed } from './producer-rig.ts'

export type CompactedStep =
  | {
      readonly kind: 'append'
      /** 0: nobody. */
      readonly producer: number
      readonly transactional: boolean
      readonly count: number
      readonly bytes: number
      readonly tombstones: number
      readonly disk: boolean
    }
  | { readonly kind: 'end'; readonly producer: number; readonly commit: boolean; readonly disk: boolean }
  | { readonly kind: 'wait'; readonly ms: number }
  | { readonly kind: 'clean'; readonly waits: boolean }
  | { readonly kind: 'check' }
  | { readonly kind: 'roll' }
  | { readonly kind: 'keyMap'; readonly isOn: boolean }
  | { readonly kind: 'deleteBefore'; readonly offset: number }
  | { readonly kind: 'reopen' }
  | { readonly kind: 'full'; readonly blocks: number }
  | { readonly kind: 'room' }
  | { readonly kind: 'crash'; readonly operations: number; readonly seed: number }

interface Call extends Handed {
  readonly end: number
}

/** What was handed over. */
interface Sent {
  readonly producerId: number
  readonly producerEpoch: number
  readonly baseSequence: number
  readonly isTransactional: boolean
  readonly values: readonly string[]
  readonly marker: Entry['marker']
}

/** What is read of the log, as `offset value`. */
interface Seen {
  readonly all: readonly string[]
  readonly committed: readonly string[]
  /** By a store that was opened read-only beside it just now, and by one that was before. */
  readonly beside: readonly string[]
  readonly followed: readonly string[]
  readonly findings: readonly unknown[]
}

/** The power may go off before everything else. */
const LOOKS: ReadonlySet<OperationKind> = new Set<OperationKind>([
  'open', 'close', 'size', 'read', 'stat', 'list', 'freeBytes', 'lock',
]) // prettier-ignore
const SETTLE_MS = 3000
const AGE_MS = 97
const CAPACITY = 2 ** 40

export function compacted(deleteRetentionMs: number): TopicConfig {
  return {
    cleanupPolicy: 'compact',
    deleteRetentionMs,
    segmentBytes: 700,
    batchBytes: 300,
    fileDeleteDelayMs: 0,
    placement: 'manual',
    keyMap: true,
  }
}

export class CompactedLife {
  readonly #fs: SimulatedFileSystem
  readonly #clock = testClock()
  #config: TopicConfig
  readonly #retentionMs: number
  readonly #model: CompactedModel
  #rig!: ProducerRig
  #turn = 0
  #number = 0
  #calls: Call[] = []
  #cleaning: Promise<void>[] = []
  #startAsked = 0
  #floor = 0
  #crashed = false
  /** How often the power went off in the middle of something. */
  crashes = 0
  #isFull = false
  #follower: FollowerRig | undefined
  readonly #listener = { start: (): void => this.#passBegins() }

  private constructor(fs: SimulatedFileSystem, deleteRetentionMs: number) {
    this.#fs = fs
    this.#retentionMs = deleteRetentionMs
    this.#config = compacted(deleteRetentionMs)
    this.#model = new CompactedModel(deleteRetentionMs)
  }

  static async begin(fs: SimulatedFileSystem, deleteRetentionMs: number): Promise<CompactedLife> {
    const life = new CompactedLife(fs, deleteRetentionMs)
    cleanChannel.start.subscribe(life.#listener.start)
    await life.#open()
    return life
  }

  async step(step: CompactedStep): Promise<void> {
    try {
      await this.#step(step)
    } catch (error) {
      const isExpected = this.#crashed ? isOfCrash(error) : this.#isFull && VarveError.is(error, 'DISK_FULL')
      if (!isExpected) throw error
    }
    if (this.#crashed) await this.#recover()
  }

  /** Settles, cleans all that can be cleaned, checks, and checks again after a close and after a power loss. */
  async end(): Promise<void> {
    this.#fs.onOperation(undefined)
    await this.step({ kind: 'clean', waits: true })
    await this.step({ kind: 'clean', waits: true })
    await this.step({ kind: 'reopen' })
    await this.#check()
    this.#fs.crash(1)
    await this.#recover()
  }

  close(): void {
    cleanChannel.start.unsubscribe(this.#listener.start)
  }

  async #step(step: CompactedStep): Promise<void> {
    if (step.kind === 'append') this.#append(step)
    else if (step.kind === 'end') this.#end(step)
    else if (step.kind === 'wait') await this.#clock.advance(step.ms)
    else if (step.kind === 'clean') await this.#clean(step.waits)
    else if (step.kind === 'roll') this.#rig.roll()
    else if (step.kind === 'keyMap') await this.#configure(step.isOn)
    else if (step.kind === 'deleteBefore') await this.#deleteBefore(step.offset)
    else if (step.kind === 'crash') this.#crashWithin(step.operations, step.seed)
    else if (step.kind === 'reopen') await this.#reopen()
    else if (step.kind === 'full') this.#fill(step.blocks)
    else if (step.kind === 'room') this.#makeRoom()
    else {
      this.#makeRoom()
      await this.#settle()
      await this.#check()
    }
  }

  #append(step: Extract<CompactedStep, { kind: 'append' }>): void {
    const { transactional, count, bytes, tombstones, disk } = step
    const producer = step.producer === 0 ? NOBODY : step.producer
    const known = this.#model.known().get(producer)
    const isOpen = known !== undefined && known.open !== -1
    const newest = known?.batches.at(-1)
    const first = newest === undefined ? 0 : after(newest.last, 1)
    const values = Array.from({ length: count }, (_, i) =>
      `${i < tombstones ? '~' : 'v'}${this.#number++}`.padEnd(bytes, '.'),
    )
    const sent = {
      producerId: producer,
      producerEpoch: Math.max(0, known?.epoch ?? 0),
      baseSequence: first,
      isTransactional: producer !== NOBODY && (transactional || isOpen),
    }
    if (producer === NOBODY) {
      for (const [i, value] of values.entries()) this.#appendOne(value, AGE_MS * i, disk, sent)
      return
    }
    const call: Handed = { ack: undefined, error: undefined }
    const { firstOffset } = this.#rig.produce(sent, values, disk, call)
    this.#sent(call, firstOffset, count)
    this.#note(firstOffset, { ...sent, values, marker: undefined })
  }

  /** Records that share a batch; each later one is a little older. */
  #appendOne(value: string, age: number, disk: boolean, sent: Omit<Sent, 'values' | 'marker'>): void {
    const call: Handed = { ack: undefined, error: undefined }
    const offset = this.#rig.append(value, age, disk, call)
    this.#sent(call, offset, 1)
    this.#note(offset, { ...sent, values: [value], marker: undefined })
  }

  #end({ producer, commit, disk }: Extract<CompactedStep, { kind: 'end' }>): void {
    const known = this.#model.known().get(producer)
    if (known === undefined) return
    const call: Handed = { ack: undefined, error: undefined }
    const marker = { producerId: producer, producerEpoch: known.epoch, coordinatorEpoch: 0, commit }
    const offset = this.#rig.end(marker, disk, call)
    this.#sent(call, offset, 1)
    const sent = { ...marker, baseSequence: -1, isTransactional: true, values: ['v'] }
    this.#note(offset, { ...sent, marker: commit ? 'commit' : 'abort' })
  }

  #sent(call: Handed, offset: number, count: number): void {
    this.#calls.push(Object.assign(call, { end: offset + count }))
    const turn = this.#turn
    call.failed = () => {
      // The disk had no room. What a store of an earlier life says does not matter any more.
      if (!this.#crashed && turn === this.#turn) this.#model.cut(offset)
    }
  }

  #note(base: number, { producerId, producerEpoch, baseSequence, isTransactional, values, marker }: Sent): void {
    expect(base).toBe(this.#model.end)
    this.#model.entries.push({
      base,
      count: values.length,
      producer: producerId,
      epoch: producerEpoch,
      first: baseSequence,
      last: marker === undefined ? after(baseSequence, values.length - 1) : -1,
      transactional: isTransactional,
      marker,
      coordinator: 0,
      timestamp: this.#clock.now(),
      values,
    })
  }

  async #clean(waits: boolean): Promise<void> {
    if (!waits) {
      this.#cleaning.push(this.#rig.clean().then(() => undefined))
      this.#cleaning.at(-1)!.catch(() => undefined)
      return
    }
    this.#makeRoom()
    await this.#settle()
    if (this.#crashed) return
    const horizonsOver = this.#rig.opened.engine.time.horizonsOver(this.#retentionMs)
    const now = this.#clock.now()
    await this.#rig.clean()
    if (this.#crashed) return
    const { log } = this.#rig
    const end = Math.max(...log.view.segments.map((one) => (one.baseOffset <= log.lastStable ? one.baseOffset : 0)))
    this.#model.passEnded(end, now, horizonsOver)
    await this.#check()
  }

  /** Also such as begin by themselves. */
  #passBegins(): void {
    if (this.#crashed) return
    this.#model.passBegins(this.#clock.now(), this.#rig.opened.engine.time.horizonsOver(this.#retentionMs))
  }

  async #configure(keyMap: boolean): Promise<void> {
    this.#makeRoom()
    this.#config = { ...this.#config, keyMap }
    await this.#rig.configure(this.#config)
  }

  /** The disk is full but for so many blocks. */
  #fill(blocks: number): void {
    this.#isFull = true
    this.#fs.setCapacity(CAPACITY - this.#fs.freeBytesSync('/') + 4096 * blocks)
  }

  #makeRoom(): void {
    this.#isFull = false
    this.#fs.setCapacity(CAPACITY)
  }

  async #deleteBefore(offset: number): Promise<void> {
    this.#makeRoom()
    await this.#settle()
    await this.#rig.flush()
    if (this.#crashed) return
    this.#floor = this.#model.end
    const start = Math.min(offset, this.#rig.log.highWatermark)
    this.#startAsked = Math.max(this.#startAsked, start)
    const call = this.#rig.topic.partition(0).deleteBefore(start)
    const done = call.then(() => (this.#model.logStart = Math.max(this.#model.logStart, start)))
    done.catch(() => undefined)
    await this.#clock.advance(SETTLE_MS)
    await done
  }

  async #reopen(): Promise<void> {
    this.#makeRoom()
    await this.#settle()
    await this.#rig.close()
    if (this.#crashed) return
    this.#calls = []
    this.#floor = this.#model.end
    await this.#open()
    expect(this.#rig.opened.recovery.clean).toBe(true)
    expect(this.#rig.opened.recovery.warnings).toEqual([])
    expect(this.#rig.log.logEnd).toBe(this.#model.end)
  }

  #crashWithin(operations: number, seed: number): void {
    let left = operations
    this.#fs.onOperation((operation) => {
      if (operation.phase !== 'before' || LOOKS.has(operation.kind) || --left > 0) return
      this.#fs.onOperation(undefined)
      this.#crashed = true
      this.crashes++
      this.#fs.crash(seed)
    })
  }

  async #recover(): Promise<void> {
    this.#crashed = false
    this.#follower = undefined
    this.#fs.onOperation(undefined)
    this.#makeRoom()
    const durable = Math.max(this.#floor, ...this.#calls.map((call) => (call.ack === 'disk' ? call.end : 0)))
    this.#calls = []
    this.#cleaning = []
    await this.#open()
    const { logEnd, logStart } = this.#rig.log
    expect(this.#rig.opened.recovery.warnings.filter((text) => !isMadeAnew(text))).toEqual([])
    expect(logEnd).toBeGreaterThanOrEqual(durable)
    expect(this.#model.cut(logEnd), `a prefix that ends at ${logEnd}`).toBe(true)
    expect(logStart).toBeGreaterThanOrEqual(this.#model.logStart)
    expect(logStart).toBeLessThanOrEqual(Math.max(this.#startAsked, this.#model.logStart))
    this.#model.logStart = logStart
    this.#floor = logEnd
    await this.#check()
  }

  async #open(): Promise<void> {
    this.#rig = await ProducerRig.open(this.#fs, this.#clock, ++this.#turn, {
      keyMap: this.#config.keyMap === true,
      config: this.#config,
    })
  }

  async #settle(): Promise<void> {
    await this.#clock.advance(SETTLE_MS)
    if (this.#crashed) return
    for (const { error } of this.#calls) if (error !== undefined) expect(error).toMatchObject({ code: 'DISK_FULL' })
    for (const call of this.#calls) expect(call.ack ?? call.error).toBeDefined()
    const cleaned = await Promise.allSettled(this.#cleaning)
    if (this.#crashed) return
    for (const one of cleaned) if (one.status === 'rejected') expect(one.reason).toMatchObject({ code: 'DISK_FULL' })
    this.#cleaning = []
  }

  async #check(): Promise<void> {
    if (this.#crashed) return
    const { log, opened } = this.#rig
    expect(log.logEnd).toBe(this.#model.end)
    expect(log.lastStable).toBe(this.#model.decided().lastStable)
    expect(producersOf(this.#rig)).toEqual(expectedProducers(this.#model))
    const seen = await this.#look()
    expect(this.#model.faults(seen.all)).toEqual([])
    const committed = this.#committedOf(seen.all)
    expect(seen.committed).toEqual(committed)
    expect(seen.findings).toEqual([])
    expect(seen.beside).toEqual(committed)
    expect(seen.followed).toEqual(committed)
    expectLiveKeys(log, opened.engine.keyHasher, committed, this.#model)
    const keyed = this.#model.keyed(committed)
    await expectCleanedLookups(this.#rig.topic, keyed, log.lastStable, log.keys === undefined ? 'off' : 'on')
    await expectCleanedLookups(await this.#follower!.topic(), keyed, log.lastStable, 'off')
  }

  /** What everybody sees, while no pass changes it. */
  async #look(): Promise<Seen> {
    const { log } = this.#rig
    for (;;) {
      const { generation } = log.view
      const all = await this.#rig.read('read_uncommitted')
      const committed = await this.#rig.read('read_committed')
      const beside = await readBeside(this.#fs, this.#clock)
      this.#follower ??= await FollowerRig.open(this.#fs, this.#clock)
      const followed = await this.#follower.read()
      const findings = await this.#rig.verify()
      if (log.view.generation === generation) return { all, committed, beside, followed, findings }
    }
  }

  #committedOf(lines: readonly string[]): string[] {
    const { lastStable } = this.#model.decided()
    const aborted = new Set(this.#model.records().flatMap(({ isAborted, offset }) => (isAborted ? [offset] : [])))
    return lines.filter((line) => Number.parseInt(line) < lastStable && !aborted.has(Number.parseInt(line)))
  }
}

/** An open that a crash cut short has removed files that it would make anew. */
function isMadeAnew(warning: string): boolean {
  return warning.includes('.snapshot is not what') || warning.includes('.txnindex is not what')
}
