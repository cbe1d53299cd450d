/** What is done to an open store: each step starts calls through the public face and notes what they answer. */
import { inspect } from 'node:util'
import type { Store } from '../../src/base/api-store.ts'
import type { RawTopic } from '../../src/base/api-topic.ts'
import type { Receipt } from '../../src/base/api-records.ts'
import { VarveError } from '../../src/base/errors.ts'
import type { TestClock } from '../../src/base/test-clock.ts'
import { checkRead, growTo } from './sim-check.ts'
import type { SimConfig, StepKind } from './sim-config.ts'
import type { Draw } from './sim-draw.ts'
import { makeSent, recordOf, TopicModel } from './sim-model.ts'
import type { Model, Sent } from './sim-model.ts'

/** Codes that an append may be refused with when nothing is wrong but the disk. */
const EXPECTED = new Set(['DISK_FULL', 'LOG_FAILED', 'QUEUE_FULL', 'CLOSED', 'TOPIC_MISSING'])

/** After a power cut the calls of the store that was open end in this. */
export function isStale(error: unknown): boolean {
  return (error as { code?: unknown } | null)?.code === 'ESTALE'
}

/** What an error says, and what was behind it. */
export function causes(error: unknown): string {
  const { message, cause, stack } = error as Error
  return cause === undefined ? `${message} ${stack}` : `${message} < ${causes(cause)}`
}

export interface StepHost {
  readonly config: SimConfig
  readonly model: Model
  readonly clock: TestClock
  readonly draw: Draw
  /** Calls under way, by what they are. */
  readonly pending: Map<Promise<unknown>, string>
  readonly isCrashed: boolean
  /** The disk does not do what it should, or is gone. */
  readonly isTroubled: boolean
  note(text: string): void
  reached(what: string): void
  violated(what: string): void
  settle(): Promise<void>
}

export class Steps {
  readonly #host: StepHost
  readonly #store: Store
  readonly #handles: Map<string, RawTopic>
  /** A write failed for good. */
  hasFailed = false

  constructor(host: StepHost, store: Store, handles: Map<string, RawTopic>) {
    this.#host = host
    this.#store = store
    this.#handles = handles
  }

  async run(kind: StepKind): Promise<void> {
    const { draw, clock } = this.#host
    if (kind === 'append') this.#append(draw.skewed(0, 300))
    else if (kind === 'burst') for (let n = draw.int(2, 12); n > 0; n--) this.#append(draw.skewed(0, 300))
    else if (kind === 'large') this.#append(draw.int(800, 2600))
    else if (kind === 'many') this.#many(draw.int(1, 8), false)
    else if (kind === 'across') this.#many(draw.int(2, 8), true)
    else if (kind === 'writer') this.#write(draw.int(1, 10))
    else if (kind === 'flush') this.#flush()
    else if (kind === 'deleteBefore') this.#deleteBefore()
    else if (kind === 'addPartitions') this.#addPartitions()
    else if (kind === 'deleteTopic') this.#deleteTopic()
    else if (kind === 'createTopic') this.#createTopic()
    else if (kind === 'read') this.#read()
    else if (kind === 'advance') await clock.advance(draw.pick([1, 10, 100, 1000, 15_000, 700_000]))
    else if (kind === 'clock') clock.jumpWall(draw.pick([-3_600_000, -1000, 1000, 86_400_000]))
    else await this.#host.settle()
  }

  /** Creates what the plan has and is not there. */
  createAll(): void {
    for (const plan of this.#host.config.topics) if (!this.#handles.has(plan.name)) this.#create(plan.name)
  }

  /** One append at `disk`, which must succeed. */
  async probe(): Promise<void> {
    const target = this.#target()
    if (target === undefined) return
    const sent = this.#send(target.topic, target.partition, 20)
    const record = recordOf(sent, target.partition)
    this.#watchOne(target.handle.append(record, { durability: 'disk' }), sent, target.partition, 'probe')
    await this.#host.settle()
    if (sent.status !== 'disk' && !this.#host.isCrashed)
      this.#host.violated(`I32 an append after all that is ${sent.status}`)
  }

  #target(): { handle: RawTopic; topic: TopicModel; partition: number } | undefined {
    const { draw, model } = this.#host
    const names = [...this.#handles.keys()]
    if (names.length === 0) return undefined
    const name = draw.pick(names)
    const handle = this.#handles.get(name)!
    const topic = model.topics.get(name)!
    // A partition that is being added may be there already.
    const partition = Math.min(draw.skewed(0, handle.partitions - 1), topic.partitions.length - 1)
    return { handle, topic, partition }
  }

  #durability(): 'disk' | 'os' | undefined {
    const { draw, config } = this.#host
    if (draw.chance(0.1)) return undefined
    return draw.chance(config.diskShare) ? 'disk' : 'os'
  }

  #send(topic: TopicModel, partition: number, bytes: number): Sent {
    const { model, clock, draw } = this.#host
    const late = draw.chance(0.2) ? -draw.int(0, 5000) : 0
    const sent = makeSent(model.nextId++, bytes, clock.now() + late)
    topic.partitions[partition]!.sent.push(sent)
    return sent
  }

  #append(bytes: number): void {
    const target = this.#target()
    if (target === undefined) return
    const { handle, topic, partition } = target
    const sent = this.#send(topic, partition, bytes)
    const durability = this.#durability()
    const what = `append ${handle.name}/${partition} id ${sent.id} ${bytes} B ${durability ?? 'as the store'}`
    const options = durability === undefined ? {} : { durability }
    this.#watchOne(handle.append(recordOf(sent, partition), options), sent, partition, what)
  }

  #many(count: number, isAcross: boolean): void {
    const target = this.#target()
    if (target === undefined) return
    const { handle, topic } = target
    const { draw } = this.#host
    const all: { sent: Sent; partition: number }[] = []
    for (let n = 0; n < count; n++) {
      const partition = isAcross ? draw.int(0, topic.partitions.length - 1) : target.partition
      all.push({ sent: this.#send(topic, partition, draw.skewed(0, 200)), partition })
    }
    const durability = this.#durability()
    const what = `appendMany ${handle.name} ids ${all[0]!.sent.id} to ${all.at(-1)!.sent.id} ${durability ?? ''}`
    const records = all.map(({ sent, partition }) => recordOf(sent, partition))
    const call = handle.appendMany(records, durability === undefined ? {} : { durability })
    const several = new Set(all.map(({ partition }) => partition)).size > 1
    noteRefusal(
      call,
      all.map(({ sent }) => sent),
    )
    const done = call.then(
      (receipts) => {
        for (const [i, receipt] of receipts.entries()) this.#acknowledged(all[i]!.sent, all[i]!.partition, receipt)
      },
      (error: unknown) => {
        for (const { sent } of all) this.#refused(sent, error, several)
      },
    )
    this.#track(done, what)
  }

  #watchOne(call: Promise<Receipt>, sent: Sent, partition: number, what: string): void {
    noteRefusal(call, [sent])
    const done = call.then(
      (receipt) => this.#acknowledged(sent, partition, receipt),
      (error: unknown) => this.#refused(sent, error, false),
    )
    this.#track(done, what)
  }

  #acknowledged(sent: Sent, partition: number, receipt: Receipt): void {
    sent.status = receipt.ack === 'os' ? 'os' : 'disk'
    sent.offset = receipt.offset
    const isDirect = sent.value !== null && sent.value.length > (this.#host.config.tuning.directGroupBytes ?? Infinity)
    if (receipt.ack === 'disk' && isDirect) this.#host.reached('group: direct')
    this.#host.note(`  id ${sent.id} is at ${receipt.offset}, ${receipt.ack}`)
    if (receipt.partition !== partition) this.#host.violated(`id ${sent.id} went to partition ${receipt.partition}`)
  }

  #refused(sent: Sent, error: unknown, several: boolean): void {
    this.#host.note(`  id ${sent.id} failed: ${causes(error)}`)
    if (!VarveError.is(error) || !EXPECTED.has(error.code)) {
      this.#host.violated(`id ${sent.id} failed with ${String(error)}\n${(error as Error).stack}`)
    }
    const { code, outcome } = error as VarveError
    if (code === 'LOG_FAILED') this.hasFailed = true
    if (code === 'LOG_FAILED' && !this.#host.isTroubled)
      this.#host.violated(`LOG_FAILED without a cause: ${causes(error)}`)
    this.#host.reached(`append: ${code} ${outcome}`)
    if (code === 'TOPIC_MISSING' || code === 'CLOSED') sent.status = 'perhaps'
    else if (several && code !== 'QUEUE_FULL') sent.status = 'either'
    else sent.status = outcome === 'definite' ? 'never' : 'perhaps'
  }

  #write(count: number): void {
    const target = this.#target()
    if (target === undefined) return
    const { handle, topic } = target
    const { draw } = this.#host
    const durability = this.#durability()
    const writer = handle.writer({
      bufferBytes: draw.pick([100, 100_000]),
      ...(durability === undefined ? {} : { durability }),
    })
    const all: Sent[] = []
    try {
      for (let n = 0; n < count; n++) {
        const partition = draw.int(0, topic.partitions.length - 1)
        const sent = this.#send(topic, partition, draw.skewed(0, 200))
        all.push(sent)
        writer.write(recordOf(sent, partition))
      }
    } catch (error) {
      this.#refused(all.pop()!, error, false)
    }
    const level = durability ?? (this.#host.config.durability === 'disk' ? 'disk' : 'os')
    const done = writer.close().then(
      () => all.forEach((sent) => (sent.status = level)),
      (error: unknown) => all.forEach((sent) => this.#refused(sent, error, true)),
    )
    this.#track(done, `writer ${handle.name} ids ${all[0]?.id} on, ${level}`)
  }

  #flush(): void {
    const { model } = this.#host
    const before = [...model.topics.values()].flatMap((topic) =>
      topic.partitions.flatMap((partition) => partition.sent),
    )
    const acknowledged = before.filter((sent) => sent.status === 'os')
    this.#trackCall(
      this.#store.flush().then(() => {
        for (const sent of acknowledged) sent.status = 'disk'
      }),
      'flush',
    )
  }

  #deleteBefore(): void {
    const target = this.#target()
    if (target === undefined) return
    const { handle, topic, partition } = target
    const model = topic.partitions[partition]!
    const end = model.base + model.sent.filter((sent) => sent.status === 'disk' || sent.status === 'os').length
    const offset = this.#host.draw.int(Math.min(model.startAcknowledged, end), end)
    model.startAsked = Math.max(model.startAsked, offset)
    const call = handle.partition(partition).deleteBefore(offset)
    const done = call.then(() => {
      model.startAcknowledged = Math.max(model.startAcknowledged, offset)
      if (offset > 0) this.#host.reached('log start raised')
    })
    this.#trackCall(done, `deleteBefore ${handle.name}/${partition} ${offset}`, ['OFFSET_OUT_OF_RANGE'])
  }

  #addPartitions(): void {
    const target = this.#target()
    if (target === undefined || target.topic.partitionsAsked >= 6) return
    const { handle, topic } = target
    topic.partitionsAsked++
    this.#trackCall(
      handle.addPartitions(1).then((partitions) => growTo(topic, Math.max(partitions, topic.partitions.length))),
      `addPartitions ${handle.name}`,
    )
  }

  #deleteTopic(): void {
    const target = this.#target()
    if (target === undefined) return
    const { handle, topic } = target
    topic.state = 'going'
    this.#handles.delete(handle.name)
    const done = this.#store.deleteTopic(handle.name).then(() => {
      topic.state = 'gone'
      this.#host.reached('topic deleted')
    })
    this.#trackCall(done, `deleteTopic ${handle.name}`)
  }

  #createTopic(): void {
    const { config, draw, model } = this.#host
    const { name } = draw.pick(config.topics)
    const state = model.topics.get(name)?.state
    if (state === undefined || state === 'gone') this.#create(name)
  }

  #create(name: string): void {
    const { config, model } = this.#host
    const plan = config.topics.find((topic) => topic.name === name)!
    const before = model.topics.get(name)
    if (before !== undefined && before.state !== 'gone') return
    const topic = new TopicModel(plan)
    model.topics.set(name, topic)
    const call = this.#store.topic(name, { create: 'must', config: plan.config })
    const done = call.then(async (handle) => {
      topic.state = 'live'
      topic.partitionsAsked = plan.partitions
      this.#handles.set(name, handle)
      if (plan.partitions > 1) growTo(topic, await handle.addPartitions(plan.partitions - 1))
    })
    this.#trackCall(done, `create ${name}`)
  }

  #read(): void {
    const target = this.#target()
    if (target === undefined) return
    const { handle, topic, partition } = target
    this.#trackCall(checkRead(handle, partition, topic), `read ${handle.name}/${partition}`)
  }

  /** A call of which a failure is no news when something is wrong with the disk, and else must not happen. */
  #trackCall(call: Promise<unknown>, what: string, alsoFine: readonly string[] = []): void {
    const done = call.then(
      () => undefined,
      (error: unknown) => {
        this.#host.note(`  ${what} failed: ${String(error)}`)
        if (isStale(error)) return
        if (!VarveError.is(error)) return this.#host.violated(`${what} failed with ${(error as Error).stack}`)
        if (error.code === 'LOG_FAILED') this.hasFailed = true
        const isDamage = error.code === 'CORRUPT' && !this.#host.isTroubled
        if (error.code === 'INTERNAL' || isDamage) this.#host.violated(`${what} failed with ${error.stack}`)
        const isFine = this.#host.isTroubled || alsoFine.includes(error.code) || error.code === 'TOPIC_MISSING'
        if (!isFine) this.#host.violated(`${what} failed with ${error.stack}`)
      },
    )
    this.#track(done, what)
  }

  #track(done: Promise<unknown>, what: string): void {
    this.#host.note(what)
    const { pending } = this.#host
    const whole: Promise<unknown> = done.finally(() => pending.delete(whole))
    pending.set(whole, what)
  }
}

/** A call may be refused at once and be heard of a moment later: a crash between the two finds what came behind it. */
function noteRefusal(call: Promise<unknown>, all: readonly Sent[]): void {
  if (inspect(call, { depth: 0 }).includes('<rejected>')) for (const sent of all) sent.status = 'either'
}
