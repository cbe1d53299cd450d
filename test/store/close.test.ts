import { closeSync, openSync, readdirSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { TUNING, type TunableOpenOptions } from '../../src/options.ts'
import { defineTopic, openStore, utf8, VarveError } from '../../src/varve.ts'
import { all, freshDirectory, range, rejected, SMALL, Simulated, values } from './rig.ts'

const Lines = defineTopic('lines', { value: utf8() })

describe('close', () => {
  it('is one thing with the end of `await using`, and idempotent', async () => {
    const store = await new Simulated().open()
    const first = store.close()
    expect(store.close()).toBe(first)
    expect(store[Symbol.asyncDispose]()).toBe(first)
    await first
    expect(store.close()).toBe(first)
  })

  it('finishes the appends that it accepted, of every kind', async () => {
    const place = new Simulated()
    const store = await place.open()
    const topic = await store.topic(Lines, { create: 'must' })
    const appends = range(0, 50).map((n) =>
      topic.append({ value: `v${n}` }, { durability: n % 2 === 0 ? 'os' : 'disk' }),
    )
    const many = topic.appendMany(range(50, 60).map((n) => ({ value: `v${n}` })))
    const writer = topic.writer()
    for (const n of range(60, 70)) writer.write({ value: `v${n}` })
    const large = topic.append({ value: 'x'.repeat(400_000) })
    await store.close()
    expect((await Promise.all(appends)).map((receipt) => receipt.offset)).toEqual(range(0, 50))
    expect(await many).toHaveLength(10)
    expect(await writer.flush()).toEqual({ 0: 70 })
    expect((await large).offset).toBe(70)
    await using again = await place.open()
    expect(again.recovery).toMatchObject({ clean: true, replayedRecords: 0, truncatedBytes: 0 })
    expect(await all((await again.topic(Lines)).read())).toHaveLength(71)
  })

  it('makes the old journal needless: an open that dies while it writes over it costs nothing', async () => {
    const directory = freshDirectory()
    const options: TunableOpenOptions & { readonly mode?: 'read-write' } = { [TUNING]: SMALL }
    const store = await openStore(directory, options)
    await (await store.topic(Lines, { create: 'must' })).append({ value: 'x' }, { durability: 'disk' })
    await store.close()
    const journal = join(directory, 'varve/journal')
    const files = readdirSync(journal)
    expect(files).not.toEqual([])
    for (const name of files) {
      const file = openSync(join(journal, name), 'r+')
      writeSync(file, new Uint8Array(4096), 0, 4096, 0)
      closeSync(file)
    }
    await using again = await openStore(directory, options)
    expect(again.recovery).toMatchObject({ clean: true, warnings: [] })
    expect(await values((await again.topic(Lines)).read())).toEqual(['x'])
  })

  it('makes every later call CLOSED', async () => {
    const place = new Simulated()
    const store = await place.open()
    const topic = await store.topic(Lines, { create: 'must' })
    await topic.append({ value: 'x' })
    const partition = topic.partition(0)
    const reader = topic.read()
    const writer = topic.writer()
    await store.close()
    const calls: (() => unknown)[] = [
      () => store.topic(Lines),
      () => store.topic('lines', { create: 'if-missing' }),
      () => store.topics(),
      () => store.deleteTopic('lines'),
      () => store.flush(),
      () => store.refresh(),
      () => topic.append({ value: 'y' }),
      () => topic.appendMany([{ value: 'y' }]),
      () => topic.addPartitions(1),
      () => writer.write({ value: 'y' }),
      () => all(topic.read()),
      () => all(reader),
      () => partition.offsets(),
      () => partition.at(0),
      () => partition.offsetForTime(0),
      () => partition.deleteBefore(1),
    ]
    for (const call of calls) {
      const error = await rejected('CLOSED', (async () => call())())
      expect(error.kind).toBe('closed')
    }
    expect(await rejected('CLOSED', topic.append({ value: 'y' }))).toMatchObject({ outcome: 'definite' })
    // What needs no store still answers.
    expect([topic.name, topic.partitions, topic.config.segmentMs > 0, partition.index]).toEqual(['lines', 1, true, 0])
    expect(store.recovery.epoch).toBe(0)
    expect(store.stats().appended.records).toBe(1)
    await using again = await place.open()
    expect(await values((await again.topic(Lines)).read())).toEqual(['x'])
  })

  it('gives back files, locks and memory, and leaves nothing running', async () => {
    const place = new Simulated()
    for (const round of range(0, 3)) {
      const store = await place.open()
      const topic = await store.topic(Lines, { create: 'if-missing', config: { segmentBytes: 500 } })
      for (const n of range(0, 20)) await topic.append({ value: `${round}.${n}` })
      const iterator = topic.read()[Symbol.asyncIterator]()
      await iterator.next()
      await store.close()
      expect(place.fileSystem.openFiles).toBe(0)
      const before = place.fileSystem.operationCount
      await place.clock.advance('1h')
      expect(place.fileSystem.operationCount).toBe(before)
    }
    expect(place.fileSystem.misuses).toEqual([])
  })

  it('resolves when the log has failed, and the next open recovers', async () => {
    const place = new Simulated()
    const store = await place.open()
    const topic = await store.topic(Lines, { create: 'must' })
    await topic.append({ value: 'kept' })
    place.fileSystem.failNext('sync', 'EIO')
    const failed = await rejected('LOG_FAILED', topic.append({ value: 'perhaps' }))
    expect([failed.outcome, failed.retryable, failed.kind]).toEqual(['indefinite', false, 'unavailable'])
    const refused = await rejected('LOG_FAILED', topic.append({ value: 'never' }))
    expect(refused.outcome).toBe('definite')
    await rejected('LOG_FAILED', topic.append({ value: 'never' }, { durability: 'os' }))
    await rejected('LOG_FAILED', topic.appendMany([{ value: 'never' }]))
    await rejected('LOG_FAILED', store.flush())
    await rejected('LOG_FAILED', topic.partition(0).deleteBefore(1))
    expect((await values(topic.read()))[0]).toBe('kept')
    await store.close()
    expect(place.fileSystem.openFiles).toBe(0)
    await using again = await place.open()
    expect(again.recovery.clean).toBe(false)
    const lines = await again.topic(Lines)
    const found = await values(lines.read())
    expect([['kept'], ['kept', 'perhaps']]).toContainEqual(found)
    expect((await lines.append({ value: 'next' })).offset).toBe(found.length)
  })

  it('ends a store whose disk was lost under it', async () => {
    const place = new Simulated()
    const store = await place.open()
    const topic = await store.topic(Lines, { create: 'must' })
    await topic.append({ value: 'x' })
    place.fileSystem.crash()
    const error = await topic.append({ value: 'y' }).catch((caught: unknown) => caught)
    expect(VarveError.is(error)).toBe(true)
    const found = await all(topic.read()).catch((caught: unknown) => caught)
    expect(Array.isArray(found) || VarveError.is(found)).toBe(true)
    await store.close()
  })

  it('while topics are made and deleted leaves a store that opens', async () => {
    const place = new Simulated()
    const store = await place.open()
    await store.topic('first', { create: 'must' })
    const changes = [
      store.topic('second', { create: 'must' }),
      store.deleteTopic('first'),
      store.topic('third', { create: 'must' }),
    ]
    const closing = store.close()
    const outcomes = await Promise.allSettled(changes)
    await closing
    for (const outcome of outcomes)
      if (outcome.status === 'rejected') expect(VarveError.is(outcome.reason, 'CLOSED')).toBe(true)
    await using again = await place.open()
    expect(again.recovery.clean).toBe(true)
    const names = await again.topics()
    expect(names.includes('second')).toBe(outcomes[0]!.status === 'fulfilled')
    expect(names.includes('first')).toBe(outcomes[1]!.status === 'rejected')
    expect(names.includes('third')).toBe(outcomes[2]!.status === 'fulfilled')
  })
})

describe('an AbortSignal', () => {
  it('that is aborted ends every long call with its reason, before anything happens', async () => {
    const place = new Simulated()
    await using store = await place.open()
    const topic = await store.topic(Lines, { create: 'must' })
    await topic.append({ value: 'x' })
    const reason = { stop: true }
    const signal = AbortSignal.abort(reason)
    const partition = topic.partition(0)
    const calls: (() => Promise<unknown>)[] = [
      () => openStore('/other', { ...place.options, signal }),
      () => store.topic('new', { create: 'must', signal }),
      () => store.topics({ signal }),
      () => store.deleteTopic('lines', { signal }),
      () => store.flush({ signal }),
      () => store.refresh({ signal }),
      () => store.checkpoint('/copy', { signal }),
      () => topic.append({ value: 'y' }, { signal }),
      () => topic.appendMany([{ value: 'y' }], { signal }),
      () => topic.addPartitions(1, { signal }),
      () => all(topic.read({ signal })),
      () => partition.offsets({ signal }),
      () => partition.at(0, { signal }),
      () => partition.offsetForTime(0, { signal }),
      () => partition.deleteBefore(1, { signal }),
    ]
    for (const call of calls) await expect(call()).rejects.toBe(reason)
    expect(await store.topics()).toEqual(['lines'])
    expect(await values(topic.read())).toEqual(['x'])
    expect(place.fileSystem.statSync('/other')).toBeUndefined()
  })

  it('aborted after an append was handed to the log does not take it back', async () => {
    await using store = await new Simulated().open()
    const topic = await store.topic(Lines, { create: 'must' })
    const stop = new AbortController()
    const waiting = topic.append({ value: 'x' }, { signal: stop.signal })
    stop.abort(new Error('too late'))
    expect((await waiting).offset).toBe(0)
    expect(await values(topic.read())).toEqual(['x'])
  })
})

describe('flush', () => {
  it('makes what was acknowledged at os durable', async () => {
    const place = new Simulated()
    const store = await place.open()
    const topic = await store.topic(Lines, { create: 'must', config: { segmentBytes: 200 } })
    for (const n of range(0, 20)) await topic.append({ value: `v${n}` }, { durability: 'os' })
    await store.flush()
    await store.flush()
    await topic.append({ value: 'lost' }, { durability: 'os' })
    place.fileSystem.crash()
    await store.close()
    await using again = await place.open()
    expect(await values((await again.topic(Lines)).read())).toEqual(range(0, 20).map((n) => `v${n}`))
  })
})

describe('stats', () => {
  it('are plain JSON and plausible', async () => {
    const place = new Simulated()
    await using store = await place.open()
    const topic = await store.topic(Lines, { create: 'must', config: { segmentBytes: '10KiB' } })
    const before = store.stats()
    expect(before).toMatchObject({
      appended: { records: 0, bytes: 0 },
      read: { records: 0, bytes: 0 },
      queuedBytes: 0,
      oldestViewMs: 0,
    })
    const waiting = topic.append({ value: 'x'.repeat(1000) })
    expect(store.stats().queuedBytes).toBeGreaterThan(1000)
    await waiting
    await topic.appendMany(range(0, 99).map(() => ({ value: 'x'.repeat(1000) })))
    expect(await all(topic.read())).toHaveLength(100)
    const after = store.stats()
    expect(after.appended.records).toBe(100)
    expect(after.appended.bytes).toBeGreaterThan(100_000)
    expect(after.appended.bytes).toBeLessThan(110_000)
    expect(after.appended.groups).toBeGreaterThanOrEqual(2)
    expect(after.read.records).toBe(100)
    expect(after.read.bytes).toBeGreaterThanOrEqual(100_000)
    expect(after.queuedBytes).toBe(0)
    expect(after.local.segments).toBe(topic.partition(0).segments().length)
    expect(after.local.bytes).toBe(
      topic
        .partition(0)
        .segments()
        .reduce((sum, segment) => sum + segment.bytes, 0),
    )
    expect(after.openFiles).toBeGreaterThan(0)
    expect(JSON.parse(JSON.stringify(after))).toEqual(after)
  })
})
