/**
 * One life of a log after the other, step by step, with the model at its side.
 *
 * Holds    Whatever was acknowledged at `disk` survives; what survives is a prefix. What the log knows of producers,
 *          where its committed records end and which were aborted follows from what is in it, however it was opened.
 */
import { expect } from 'vitest'
import type { SimulatedFileSystem } from '../../src/base/memory-file-system.ts'
import { testClock } from '../../src/base/test-clock.ts'
import { VarveError } from '../../src/base/errors.ts'
import { expectKeys } from './live-keys.ts'
import { expectLookups } from './lookups.ts'
import { after, MOST_SEQUENCE, ProducerModel } from './producer-model.ts'
import type { Entry, Known } from './producer-model.ts'
import { FollowerRig, ProducerRig, readBeside, truncate } from './producer-rig.ts'
import type { Handed, KeyWorld } from './producer-rig.ts'

interface Produce {
  readonly kind: 'produce'
  readonly producer: number
  /** Against what is known. */
  readonly epoch: number
  readonly sequence: string
  readonly transactional: boolean
  readonly count: number
  readonly bytes: number
  readonly disk: boolean
}

interface End {
  readonly kind: 'end'
  readonly producer: number
  readonly epoch: number
  readonly coordinator: number
  readonly commit: boolean
  readonly disk: boolean
}

interface Repeat {
  readonly kind: 'repeat'
  readonly producer: number
  readonly back: number
  readonly disk: boolean
}

export type Step =
  | Produce
  | End
  | Repeat
  | { readonly kind: 'wait'; readonly ms: number }
  | { readonly kind: 'check'; readonly from: number }
  | { readonly kind: 'roll' }
  | { readonly kind: 'deleteBefore'; readonly offset: number }
  | { readonly kind: 'truncate'; readonly offset: number }
  | { readonly kind: 'reopen' }
  | { readonly kind: 'full'; readonly blocks: number }
  | { readonly kind: 'room' }
  | { readonly kind: 'crash'; readonly operations: number; readonly seed: number }

/** Something handed over, and the end that the log has when it is there. */
interface Call extends Handed {
  readonly end: number
}

const SETTLE_MS = 3000
const CAPACITY = 2 ** 40

export class ProducerLife {
  readonly #fs: SimulatedFileSystem
  readonly #clock = testClock()
  readonly #model = new ProducerModel()
  #rig!: ProducerRig
  #turn = 0
  #calls: Call[] = []
  /** Batches below were there at the last open: of each producer only the newest is known for sure. */
  #openedAt = 0
  #startAsked = 0
  /** Everything below is durable, whatever came of the calls since. */
  #floor = 0
  #crashed = false
  /** Goes on from one open of the writer to the next. */
  #follower: FollowerRig | undefined
  #isFull = false

  readonly #world: KeyWorld

  private constructor(fs: SimulatedFileSystem, world: KeyWorld) {
    this.#fs = fs
    this.#world = world
  }

  static async begin(fs: SimulatedFileSystem, world: KeyWorld = { keyMap: true }): Promise<ProducerLife> {
    const life = new ProducerLife(fs, world)
    await life.#open()
    return life
  }

  async step(step: Step): Promise<void> {
    try {
      await this.#step(step)
    } catch (error) {
      const isExpected = this.#crashed ? isOfCrash(error) : this.#isFull && VarveError.is(error, 'DISK_FULL')
      if (!isExpected) throw error
    }
    if (this.#crashed) await this.#recover()
  }

  /** Settles, checks, and checks again after a close and after a power loss. */
  async end(): Promise<void> {
    this.#fs.onOperation(undefined)
    this.#makeRoom()
    await this.#settle()
    await this.#check(0)
    await this.step({ kind: 'reopen' })
    await this.#check(0)
    this.#fs.crash(1)
    await this.#recover()
  }

  async #step(step: Step): Promise<void> {
    if (step.kind === 'produce') this.#produce(step)
    else if (step.kind === 'repeat') this.#repeat(step)
    else if (step.kind === 'end') this.#end(step)
    else if (step.kind === 'wait') await this.#clock.advance(step.ms)
    else if (step.kind === 'roll') this.#rig.roll()
    else if (step.kind === 'deleteBefore') await this.#deleteBefore(step.offset)
    else if (step.kind === 'truncate') await this.#truncate(step.offset)
    else if (step.kind === 'crash') this.#crashWithin(step.operations, step.seed)
    else if (step.kind === 'reopen') await this.#reopen()
    else if (step.kind === 'full') this.#fill(step.blocks)
    else if (step.kind === 'room') this.#makeRoom()
    else {
      this.#makeRoom()
      await this.#settle()
      await this.#check(step.from)
    }
  }

  #produce(step: Produce): void {
    const known = this.#model.known().get(step.producer)
    const epoch = Math.max(0, (known?.epoch ?? 0) + step.epoch)
    const first = sequenceOf(step, known)
    const values = Array.from({ length: step.count }, (_, i) =>
      `${step.producer}:${first}+${i}`.padEnd(step.bytes, '.'),
    )
    this.#send({ ...step, epoch, first, values })
  }

  #repeat({ producer, back, disk }: Repeat): void {
    const mine = this.#model.entries.filter((entry) => entry.producer === producer && entry.marker === undefined)
    const entry = mine.at(-1 - (back % 7))
    if (entry !== undefined) this.#send({ ...entry, transactional: entry.transactional, disk })
  }

  #send(batch: Pick<Entry, 'producer' | 'epoch' | 'first' | 'transactional' | 'values'> & { disk: boolean }): void {
    const { producer, epoch, first, transactional, values, disk } = batch
    const expected = this.#isFull ? [...this.#verdict(batch), 'DISK_FULL'] : this.#verdict(batch)
    const call: Handed = { ack: undefined, error: undefined }
    const sent = { producerId: producer, producerEpoch: epoch, baseSequence: first, isTransactional: transactional }
    try {
      const { firstOffset, isDuplicate } = this.#rig.produce(sent, values, disk, call)
      const answer = isDuplicate ? `stored at ${firstOffset}` : 'ok'
      expect(expected, `${JSON.stringify(batch)} at ${firstOffset}`).toContain(answer)
      this.#calls.push(Object.assign(call, { end: firstOffset + values.length }))
      if (isDuplicate) return
      call.failed = this.#takeBack(firstOffset)
      this.#note(batch, firstOffset, undefined, -1)
    } catch (error) {
      if (!VarveError.is(error) || isOfCrash(error)) throw error
      expect(expected, JSON.stringify(batch)).toContain(error.code)
    }
  }

  /** What may be answered: a batch from before the last open may be known or not, unless it is the newest. */
  #verdict(batch: Pick<Entry, 'producer' | 'epoch' | 'first' | 'transactional' | 'values'>): string[] {
    const known = this.#model.known().get(batch.producer)
    if (known === undefined) return ['ok']
    const last = after(batch.first, batch.values.length - 1)
    const same = known.batches.find(
      (one) => one.epoch === batch.epoch && one.first === batch.first && one.last === last,
    )
    const isSure = same !== undefined && (same.base >= this.#openedAt || same === known.batches.at(-1))
    if (same !== undefined && isSure) return [`stored at ${same.base}`]
    return [...(same === undefined ? [] : [`stored at ${same.base}`]), this.#refusal(batch, known)]
  }

  #refusal(batch: Pick<Entry, 'epoch' | 'first' | 'transactional'>, known: Known): string {
    if (batch.epoch < known.epoch) return 'PRODUCER_FENCED'
    const newest = known.batches.at(-1)
    const isNew = batch.epoch > known.epoch || newest === undefined
    if (batch.first !== (isNew ? 0 : after(newest.last, 1))) return 'OUT_OF_ORDER_SEQUENCE'
    return known.open !== -1 && !batch.transactional ? 'INVALID_RECORD' : 'ok'
  }

  #end({ producer, epoch: delta, coordinator: step, commit, disk }: End): void {
    const known = this.#model.known().get(producer)
    const epoch = Math.max(0, (known?.epoch ?? 0) + delta)
    const coordinator = Math.max(0, (known?.coordinator ?? 0) + step)
    const isFenced = known !== undefined && (epoch < known.epoch || coordinator < known.coordinator)
    const call: Handed = { ack: undefined, error: undefined }
    const marker = { producerId: producer, producerEpoch: epoch, coordinatorEpoch: coordinator, commit }
    try {
      const offset = this.#rig.end(marker, disk, call)
      expect(isFenced).toBe(false)
      this.#calls.push(Object.assign(call, { end: offset + 1 }))
      call.failed = this.#takeBack(offset)
      const sent = { producer, epoch, first: -1, transactional: true, values: [''] }
      this.#note(sent, offset, commit ? 'commit' : 'abort', coordinator)
    } catch (error) {
      if (this.#isFull && VarveError.is(error, 'DISK_FULL')) return
      if (!VarveError.is(error, 'PRODUCER_FENCED')) throw error
      expect(isFenced).toBe(true)
    }
  }

  /** The disk had no room: what was appended at `offset` and behind was never there. */
  #takeBack(offset: number): () => void {
    const turn = this.#turn
    return () => {
      // What a store of an earlier life says does not matter any more.
      if (!this.#crashed && turn === this.#turn) this.#model.cut(offset)
    }
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

  #note(
    sent: Pick<Entry, 'producer' | 'epoch' | 'first' | 'transactional' | 'values'>,
    base: number,
    marker: Entry['marker'],
    coordinator: number,
  ): void {
    expect(base).toBe(this.#model.end)
    const { producer, epoch, first, transactional, values } = sent
    const count = values.length
    const last = marker === undefined ? after(first, count - 1) : -1
    const timestamp = this.#clock.now()
    const who = { producer, epoch, first, last, transactional, values }
    this.#model.entries.push({ ...who, base, count, marker, coordinator, timestamp })
  }

  /** Of what is deleted and lost at once, nothing would be known of its producers either. */
  async #deleteBefore(offset: number): Promise<void> {
    this.#makeRoom()
    await this.#settle()
    await this.#rig.flush()
    if (this.#crashed) return
    this.#floor = this.#model.end
    const { highWatermark } = this.#rig.log
    const start = Math.min(offset, highWatermark)
    this.#startAsked = Math.max(this.#startAsked, start)
    const call = this.#rig.topic.partition(0).deleteBefore(start)
    const done = call.then(() => (this.#model.logStart = Math.max(this.#model.logStart, start)))
    done.catch(() => undefined)
    await this.#clock.advance(SETTLE_MS)
    await done
  }

  async #truncate(offset: number): Promise<void> {
    await this.#closed()
    if (this.#crashed) return
    const at = Math.max(offset, this.#model.logStart)
    this.#follower = undefined
    const end = await truncate(this.#fs, this.#clock, ++this.#turn, at, this.#world)
    expect(end).toBeLessThanOrEqual(Math.max(at, this.#model.logStart))
    expect(this.#model.cut(Math.min(end, this.#model.end))).toBe(true)
    this.#model.logStart = Math.min(this.#model.logStart, end)
    this.#floor = this.#model.end
    await this.#open()
    expect(this.#rig.log.logEnd).toBe(this.#model.end)
    await this.#check(0)
  }

  async #reopen(): Promise<void> {
    await this.#closed()
    if (this.#crashed) return
    await this.#open()
    expect(this.#rig.opened.recovery.clean).toBe(true)
    expect(this.#rig.opened.recovery.warnings).toEqual([])
    expect(this.#rig.log.logEnd).toBe(this.#model.end)
  }

  /** After a close in order everything is there for ever. */
  async #closed(): Promise<void> {
    this.#makeRoom()
    await this.#settle()
    await this.#rig.close()
    if (this.#crashed) return
    this.#calls = []
    this.#floor = this.#model.end
  }

  #crashWithin(operations: number, seed: number): void {
    let left = operations
    this.#fs.onOperation((operation) => {
      if (operation.phase !== 'before' || --left > 0) return
      this.#fs.onOperation(undefined)
      this.#crashed = true
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
    await this.#open()
    const { logEnd, logStart } = this.#rig.log
    expect(logEnd).toBeGreaterThanOrEqual(durable)
    expect(this.#model.cut(logEnd), `a prefix that ends at ${logEnd}`).toBe(true)
    expect(logStart).toBeGreaterThanOrEqual(this.#model.logStart)
    expect(logStart).toBeLessThanOrEqual(Math.max(this.#startAsked, this.#model.logStart))
    this.#model.logStart = logStart
    this.#floor = logEnd
    await this.#check(0)
  }

  async #open(): Promise<void> {
    this.#rig = await ProducerRig.open(this.#fs, this.#clock, ++this.#turn, this.#world)
    this.#openedAt = this.#rig.log.logEnd
  }

  async #settle(): Promise<void> {
    await this.#clock.advance(SETTLE_MS)
    if (this.#crashed) return
    for (const { error } of this.#calls) if (error !== undefined) expect(error).toMatchObject({ code: 'DISK_FULL' })
    for (const call of this.#calls) expect(call.ack ?? call.error).toBeDefined()
  }

  async #check(from: number): Promise<void> {
    if (this.#crashed) return
    const { log } = this.#rig
    expect(log.logEnd).toBe(this.#model.end)
    const decided = this.#model.decided()
    expect(log.lastStable).toBe(decided.lastStable)
    expect(producersOf(this.#rig)).toEqual(expectedProducers(this.#model))
    const start = Math.min(Math.max(from, this.#model.logStart), decided.lastStable)
    for (const isolation of ['read_committed', 'read_uncommitted'] as const) {
      expect(await this.#rig.read(isolation, start)).toEqual(this.#model.read(isolation, start))
    }
    await this.#checkKeys()
    // Verifying, keys have their own identities.
    if (this.#world.identities === undefined) expect(await this.#rig.verify()).toEqual([])
    expect(await readBeside(this.#fs, this.#clock)).toEqual(this.#model.read('read_committed'))
    this.#follower ??= await FollowerRig.open(this.#fs, this.#clock, this.#world)
    expect(await this.#follower.read()).toEqual(this.#model.read('read_committed'))
    // Without a key map the writer searches as well.
    if (this.#world.keyMap) await expectLookups(await this.#follower.topic(), this.#model, 'off')
  }

  async #checkKeys(): Promise<void> {
    const { keyMap, identities } = this.#world
    const { log, topic, opened } = this.#rig
    if (keyMap && identities === undefined) expectKeys(log, opened.engine.keyHasher, this.#model)
    await expectLookups(topic, this.#model, keyMap ? (identities === undefined ? 'on' : 'contested') : 'off')
  }
}

function sequenceOf({ sequence }: Produce, known: Known | undefined): number {
  if (sequence === 'zero') return 0
  if (sequence === 'largest') return MOST_SEQUENCE
  const newest = known?.batches.at(-1)
  const next = newest === undefined ? 0 : after(newest.last, 1)
  return sequence === 'gap' ? after(next, 2) : next
}

export function producersOf(rig: ProducerRig): Record<number, unknown> {
  const all: Record<number, unknown> = {}
  rig.log.applyPending()
  for (const { id, batches, ...rest } of rig.log.producers.producers()) all[id] = { ...rest, newest: batches.at(-1) }
  return all
}

export function expectedProducers(model: ProducerModel): Record<number, unknown> {
  const all: Record<number, unknown> = {}
  for (const [id, { epoch, coordinator, timestamp, open, batches }] of model.known()) {
    const last = batches.at(-1)
    all[id] = {
      epoch,
      coordinatorEpoch: coordinator,
      lastTimestamp: timestamp,
      transactionFirst: open,
      newest:
        last === undefined
          ? undefined
          : { lastSequence: last.last, lastOffset: last.base + last.count - 1, offsetDelta: last.count - 1 },
    }
  }
  return all
}

/** Calls of a store whose disk went away. */
export function isOfCrash(error: unknown): boolean {
  for (let cause = error; cause !== undefined && cause !== null; cause = (cause as { cause?: unknown }).cause) {
    if ((cause as { code?: unknown }).code === 'ESTALE' || VarveError.is(cause, 'LOG_FAILED')) return true
  }
  return false
}
