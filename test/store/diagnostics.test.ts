import { channel, tracingChannel } from 'node:diagnostics_channel'
import { afterEach, describe, expect, it } from 'vitest'
import type { Clock } from '../../src/base/clock.ts'
import { defineTopic, utf8 } from '../../src/varve.ts'
import { all, rejected, Simulated } from './rig.ts'

const Lines = defineTopic('lines', { value: utf8() })
const undo: (() => void)[] = []

afterEach(() => {
  for (const run of undo.splice(0)) run()
})

/** What a tracing channel tells, as [event, message] in order. */
function traced(name: string): [string, Record<string, unknown>][] {
  const heard: [string, Record<string, unknown>][] = []
  const hear =
    (event: string) =>
    (message: object): void =>
      void heard.push([event, { ...message }])
  const handlers = {
    start: hear('start'),
    end: hear('end'),
    asyncStart: hear('asyncStart'),
    asyncEnd: hear('asyncEnd'),
    error: hear('error'),
  }
  const tracing = tracingChannel(name)
  tracing.subscribe(handlers)
  undo.push(() => tracing.unsubscribe(handlers))
  return heard
}

describe('diagnostics channels', () => {
  it('tell of opens, appends and reads, with counts and no content', async () => {
    const recoveries = traced('varve:recovery')
    const appends = traced('varve:append')
    const reads = traced('varve:read')
    const place = new Simulated()
    await using store = await place.open()
    const topic = await store.topic(Lines, { create: 'must' })
    const receipt = await topic.append({ value: 'secret' }, { durability: 'os' })
    const many = await topic.appendMany([{ value: 'secret' }, { value: 'secret' }])
    expect(await all(topic.read())).toHaveLength(3)
    await topic.partition(0).at(1)
    expect(recoveries.map(([event]) => event)).toEqual(['start', 'end', 'asyncStart', 'asyncEnd'])
    expect(recoveries.at(-1)![1]).toMatchObject({ directory: '/s', report: store.recovery })
    const appended = appends.filter(([event]) => event === 'asyncEnd').map(([, message]) => message)
    expect(appended).toMatchObject([
      { directory: '/s', topic: 'lines', records: 1, durability: 'os', receipts: [receipt] },
      { directory: '/s', topic: 'lines', records: 2, durability: 'disk', receipts: many },
    ])
    for (const message of appended) expect(message['bytes']).toBeGreaterThan(6)
    const pulled = reads.filter(([event]) => event === 'asyncEnd').map(([, message]) => message)
    expect(pulled.map((message) => message['what'])).toContain('batch')
    expect(pulled.at(-1)).toMatchObject({ directory: '/s', topic: 'lines', partition: 0, what: 'at' })
    expect(pulled.reduce((sum, message) => sum + Number(message['records'] ?? 0), 0)).toBeGreaterThanOrEqual(3)
    expect(JSON.stringify([recoveries, appends, reads])).not.toContain('secret')
  })

  it('tell of lookups, and may look keys up themselves', async () => {
    const reads = traced('varve:read')
    await using store = await new Simulated().open()
    const Names = defineTopic('names', { key: utf8(), value: utf8(), config: { keyMap: true } })
    const names = await store.topic(Names, { create: 'must' })
    for (const name of ['ada', 'bob']) await names.append({ key: name, value: `of ${name}` })
    const look = { start: (): void => void names.getSync('bob') }
    const reading = tracingChannel('varve:read')
    reading.subscribe(look as never)
    undo.push(() => reading.unsubscribe(look as never))
    expect((await names.get('ada'))?.value).toBe('of ada')
    expect(reads.at(-1)).toEqual([
      'asyncEnd',
      expect.objectContaining({ directory: '/s', topic: 'names', partition: 0, what: 'get' }),
    ])
    expect(JSON.stringify(reads)).not.toContain('ada')
  })

  it('tell of failures', async () => {
    const appends = traced('varve:append')
    const place = new Simulated()
    await using store = await place.open()
    const topic = await store.topic(Lines, { create: 'must' })
    place.fileSystem.failNext('sync', 'EIO')
    const error = await rejected('LOG_FAILED', topic.append({ value: 'x' }))
    expect(appends.find(([event]) => event === 'error')![1]['error']).toBe(error)
    const recoveries = traced('varve:recovery')
    await rejected('LOCKED', place.open())
    expect(recoveries.map(([event]) => event)).toContain('error')
  })

  it('tell of a writer that was shut out', async () => {
    const heard: unknown[] = []
    const listen = (message: unknown): void => void heard.push(message)
    channel('varve:fenced').subscribe(listen)
    undo.push(() => channel('varve:fenced').unsubscribe(listen))
    const place = new Simulated()
    await using store = await place.open()
    const topic = await store.topic(Lines, { create: 'must' })
    place.fileSystem.unlinkSync('/s/varve/writer')
    await rejected('STORE_FENCED', topic.append({ value: 'x' }))
    expect(heard).toEqual([{ directory: '/s', what: 'store', id: '/s', epoch: 0 }])
  })

  it('tell of a sync that takes far too long', async () => {
    const heard: { readonly what?: string; readonly ms?: number }[] = []
    const listen = (message: unknown): void => void heard.push(message as object)
    channel('varve:stall').subscribe(listen)
    undo.push(() => channel('varve:stall').unsubscribe(listen))
    const place = new Simulated()
    const { clock } = place
    let ms = 0
    // Whoever looks twice finds that two seconds have passed.
    const slow: Clock = {
      '~varve': 'clock',
      now: () => clock.now(),
      monotonicMs: () => (ms += 2000),
      timer: (delayMs, run, keepAlive) => clock.timer(delayMs, run, keepAlive),
      soon: (run) => clock.soon(run),
    }
    await using store = await place.open({ clock: slow })
    const topic = await store.topic(Lines, { create: 'must' })
    await topic.append({ value: 'x' })
    expect(heard).toMatchObject([{ directory: '/s', what: 'sync', topic: null }])
    expect(heard[0]!.ms).toBeGreaterThan(1000)
  })
})
