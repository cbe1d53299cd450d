import { describe, expect, it } from 'vitest'
import { defineTopic, json, openStore, utf8 } from '../../src/varve.ts'
import { all, range, raw, rejected, Simulated, text, values } from './rig.ts'

const Lines = defineTopic('lines', { value: utf8() })

describe('creating', () => {
  it('opens only what exists, unless told otherwise', async () => {
    await using store = await new Simulated().open()
    const missing = await rejected('TOPIC_MISSING', store.topic(Lines))
    expect(missing.details).toEqual({ topic: 'lines' })
    await rejected('TOPIC_MISSING', store.topic('lines'))
    const made = await store.topic(Lines, { create: 'must' })
    expect(made.name).toBe('lines')
    expect(made.partitions).toBe(1)
    await rejected('TOPIC_EXISTS', store.topic(Lines, { create: 'must' }))
    expect((await store.topic(Lines, { create: 'if-missing' })).partitions).toBe(1)
    expect((await store.topic(Lines)).partitions).toBe(1)
  })

  it('makes a topic once when many ask at the same time', async () => {
    await using store = await new Simulated().open()
    const handles = await Promise.all(range(0, 8).map(() => store.topic(Lines, { create: 'if-missing' })))
    const receipts = await Promise.all(handles.map((topic, n) => topic.append({ value: `v${n}` })))
    expect(receipts.map((receipt) => receipt.offset)).toEqual(range(0, 8))
    const outcomes = await Promise.allSettled(range(0, 3).map(() => store.topic('raw', { create: 'must' })))
    expect(outcomes.filter((outcome) => outcome.status === 'fulfilled')).toHaveLength(1)
  })

  it('takes Kafka names and no others, and no internal ones', async () => {
    await using store = await new Simulated().open()
    for (const name of ['', '.', '..', 'a/b', '../x', 'a\\b', 'a b', 'a\0', 'ü', 'x'.repeat(250), '-\n'])
      await rejected('INVALID_TOPIC_NAME', store.topic(name, { create: 'if-missing' }))
    await rejected('INVALID_TOPIC_NAME', store.topic('__mine', { create: 'must' }))
    await rejected('INVALID_TOPIC_NAME', store.deleteTopic('__consumer_offsets'))
    await rejected('TOPIC_MISSING', store.topic('__mine'))
    for (const name of ['x'.repeat(249), 'a.b', 'a_b', '-', 'A-1', '...', 'con'])
      await store.topic(name, { create: 'must' })
    expect(await store.topics()).toContain('x'.repeat(249))
  })

  it('lists names in order', async () => {
    const place = new Simulated()
    await using store = await place.open()
    for (const name of ['c', 'a', 'b']) await store.topic(name, { create: 'must' })
    expect(await store.topics()).toEqual(['a', 'b', 'c'])
    expect(await store.topics({ internal: true })).toEqual(['a', 'b', 'c'])
  })

  it('names an unknown option and the nearest valid one', async () => {
    await using store = await new Simulated().open()
    const wrong = { creat: 'must' } as unknown as { create: 'must' }
    const error = await rejected('INVALID_OPTION', store.topic(Lines, wrong))
    expect(error.message).toContain('creat')
    expect(error.message).toContain('create')
    const config = { retentionMS: 5 } as unknown as { retentionMs: number }
    const second = await rejected('INVALID_OPTION', store.topic(Lines, { create: 'must', config }))
    expect(second.message).toContain('retentionMs')
    expect(second.details.option).toContain('retentionMS')
    await rejected('INVALID_OPTION', store.topic(Lines, { create: 'must', config: { segmentBytes: 3 } }))
    expect(await store.topics()).toEqual([])
  })
})

describe('comparing and changing', () => {
  const Typed = defineTopic('typed', {
    key: utf8(),
    value: json<{ n: number }>(),
    partitions: 2,
    config: { retentionMs: '7d', segmentBytes: '1MiB' },
  })

  it('compares only what is named', async () => {
    const place = new Simulated()
    {
      await using store = await place.open()
      await store.topic(Typed, { create: 'must' })
    }
    await using store = await place.open()
    await store.topic(Typed)
    await store.topic(defineTopic('typed', { key: utf8(), value: json<{ n: number }>() }))
    const same = await store.topic(Typed, { config: { retentionMs: 7 * 86_400_000 } })
    expect(same.config.retentionMs).toBe(7 * 86_400_000)
    expect(same.config.segmentBytes).toBe(1 << 20)
    expect(same.config.fileDeleteDelayMs).toBe(60_000)
    expect((await store.topic('typed')).partitions).toBe(2)
  })

  it('refuses a difference in config, partitions or codecs and tells it', async () => {
    await using store = await new Simulated().open()
    await store.topic(Typed, { create: 'must' })
    const config = await rejected('CONFIG_CONFLICT', store.topic(Typed, { config: { retentionMs: '1d' } }))
    expect(config.details.differences).toEqual([{ name: 'retentionMs', stored: 7 * 86_400_000, wanted: 86_400_000 }])
    const more = defineTopic('typed', { key: utf8(), value: json<{ n: number }>(), partitions: 3 })
    const partitions = await rejected('CONFIG_CONFLICT', store.topic(more, { alter: true }))
    expect(partitions.details.differences).toEqual([{ name: 'partitions', stored: 2, wanted: 3 }])
    // What cannot be altered is not said to be.
    expect([config, partitions].map(({ message }) => message.includes('alter'))).toEqual([true, false])
    const other = defineTopic('typed', { key: utf8(), value: utf8() })
    await rejected('CONFIG_CONFLICT', store.topic(other, { alter: true }))
    await rejected('CONFIG_CONFLICT', store.topic(defineTopic('typed', { value: json<{ n: number }>() })))
  })

  it('changes differing keys when asked, durably, for every handle', async () => {
    const place = new Simulated()
    {
      await using store = await place.open()
      const first = await store.topic(Typed, { create: 'must' })
      const second = await store.topic(Typed, {
        alter: true,
        config: { retentionMs: '1d', maxMessageBytes: '1KiB', batchBytes: 512 },
      })
      expect(second.config.retentionMs).toBe(86_400_000)
      expect(first.config.maxMessageBytes).toBe(1024)
      const tooLarge = await rejected(
        'RECORD_TOO_LARGE',
        first.append({ key: 'k', value: { n: 1 }, headers: { h: 'x'.repeat(2000) } }),
      )
      expect(tooLarge.details.maxBytes).toBe(1024)
      await rejected('INVALID_OPTION', store.topic(Typed, { alter: true, config: { batchBytes: '2KiB' } }))
      place.fileSystem.crash()
    }
    await using store = await place.open()
    const again = await store.topic('typed')
    expect(again.config.retentionMs).toBe(86_400_000)
    expect(again.config.maxMessageBytes).toBe(1024)
    expect(again.config.batchBytes).toBe(512)
    expect(again.config.segmentBytes).toBe(1 << 20)
  })
})

describe('adding partitions', () => {
  it('spreads keys over the new number, for handles that were open before', async () => {
    const place = new Simulated()
    {
      await using store = await place.open()
      const topic = await store.topic('wide', { create: 'must' })
      const other = await store.topic('wide')
      await topic.append({ key: raw('a'), value: raw('0') })
      expect(await topic.addPartitions(3)).toBe(4)
      expect(other.partitions).toBe(4)
      const receipts = await Promise.all(range(0, 40).map((n) => other.append({ key: raw(`k${n}`), value: raw('x') })))
      expect(new Set(receipts.map((receipt) => receipt.partition))).toEqual(new Set([0, 1, 2, 3]))
      await rejected('INVALID_OPTION', topic.addPartitions(0))
      await rejected('INVALID_OPTION', topic.addPartitions(1.5))
      await rejected('INVALID_OPTION', topic.addPartitions(100_000))
      place.fileSystem.crash()
    }
    await using store = await place.open()
    const topic = await store.topic('wide')
    expect(topic.partitions).toBe(4)
    expect(await all(topic.read())).toHaveLength(41)
  })

  it('is refused where keys would be looked for elsewhere', async () => {
    await using store = await new Simulated().open()
    const topic = await store.topic('compacted', { create: 'must', config: { cleanupPolicy: 'compact' } })
    expect(await topic.addPartitions(1)).toBe(2)
    await topic.append({ key: raw('a'), value: raw('0') })
    const error = await rejected('CONFIG_CONFLICT', topic.addPartitions(1))
    expect(error.details.differences).toEqual([{ name: 'partitions', stored: 2, wanted: 3 }])
    expect(error.message).toContain('looked for elsewhere')
    expect(error.message).not.toContain('alter')
    expect(topic.partitions).toBe(2)
  })
})

describe('deleting', () => {
  it('removes every file and gives fresh offsets to a new topic of the same name', async () => {
    const place = new Simulated()
    {
      await using store = await place.open()
      const topic = await store.topic(Lines, { create: 'must', config: { segmentBytes: 200 } })
      for (const n of range(0, 10)) await topic.append({ value: `old${n}` })
      await store.deleteTopic('lines')
      await rejected('TOPIC_MISSING', store.topic(Lines))
      await rejected('TOPIC_MISSING', store.deleteTopic('lines'))
      expect(place.fileSystem.listSync('/s/log').map((entry) => entry.name)).not.toContain('lines-0')
      expect(await store.topics()).toEqual([])
      const fresh = await store.topic(Lines, { create: 'must' })
      expect(await fresh.partition(0).offsets()).toMatchObject({ logStart: 0, logEnd: 0 })
      expect((await fresh.append({ value: 'new' })).offset).toBe(0)
      place.fileSystem.crash()
    }
    await using store = await place.open()
    expect(await values((await store.topic(Lines)).read())).toEqual(['new'])
  })

  it('ends readers, writers and handles with TOPIC_MISSING', async () => {
    const place = new Simulated()
    await using store = await place.open()
    const topic = await store.topic(Lines, { create: 'must' })
    await topic.append({ value: 'one' })
    const follower = topic.read({ until: 'forever' })
    const seen: (string | null)[] = []
    const following = (async () => {
      for await (const record of follower) seen.push(record.value)
    })()
    const began = topic.read()[Symbol.asyncIterator]()
    await began.next()
    const writer = topic.writer()
    writer.write({ value: 'two' })
    await writer.flush()
    await store.deleteTopic('lines')
    await rejected('TOPIC_MISSING', following)
    expect(seen).toEqual(['one', 'two'])
    await rejected('TOPIC_MISSING', (async () => writer.write({ value: 'three' }))())
    await rejected('TOPIC_MISSING', topic.append({ value: 'four' }))
    await rejected('TOPIC_MISSING', topic.appendMany([{ value: 'five' }]))
    await rejected('TOPIC_MISSING', all(topic.read()))
    await rejected('TOPIC_MISSING', topic.partition(0).offsets())
    await rejected('TOPIC_MISSING', topic.partition(0).at(0))
    await rejected('TOPIC_MISSING', topic.partition(0).deleteBefore(1))
    await rejected('TOPIC_MISSING', topic.addPartitions(1))
  })

  it('settles appends that were under way, one way or the other', async () => {
    const place = new Simulated()
    await using store = await place.open()
    const topic = await store.topic(Lines, { create: 'must' })
    const other = await store.topic('other', { create: 'must' })
    const appends = range(0, 20).map((n) => topic.append({ value: `v${n}` }))
    const beside = other.append({ value: raw('kept') })
    await store.deleteTopic('lines')
    for (const outcome of await Promise.allSettled(appends)) {
      if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'TOPIC_MISSING' })
    }
    expect((await beside).offset).toBe(0)
    expect((await all(other.read())).map((record) => text(record.value))).toEqual(['kept'])
  })

  it('goes on at the next open when a crash cut it short', async () => {
    for (const kind of ['unlink', 'removeDirectory', 'rename'] as const) {
      const place = new Simulated()
      const store = await place.open()
      const topic = await store.topic(Lines, { create: 'must' })
      await topic.append({ value: 'x' })
      let armed = true
      place.fileSystem.onOperation((operation) => {
        if (!armed || operation.kind !== kind || operation.phase !== 'before') return
        armed = false
        place.fileSystem.crash()
      })
      await store.deleteTopic('lines').catch(() => undefined)
      await store.close()
      expect(armed).toBe(false)
      place.fileSystem.onOperation(undefined)
      await using again = await place.open()
      // Marked or not: a topic is whole or gone.
      if ((await again.topics()).includes('lines')) {
        expect(kind).toBe('rename')
        expect(await values((await again.topic(Lines)).read())).toEqual(['x'])
      } else {
        expect(place.fileSystem.listSync('/s/log').map((entry) => entry.name)).not.toContain('lines-0')
        expect((await (await again.topic(Lines, { create: 'must' })).append({ value: 'y' })).offset).toBe(0)
      }
    }
  })
})

describe('the directory', () => {
  it('is refused untouched when it is not ours', async () => {
    const place = new Simulated()
    const { fileSystem } = place
    fileSystem.makeDirectorySync('/s')
    fileSystem.openSync('/s/notes.txt', 'create').closeSync()
    const before = fileSystem.listSync('/s')
    await rejected('INVALID_OPTION', place.open())
    expect(fileSystem.listSync('/s')).toEqual(before)
    fileSystem.makeDirectorySync('/k')
    fileSystem.openSync('/k/meta.properties', 'create').closeSync()
    fileSystem.makeDirectorySync('/k/orders-0')
    await rejected('INVALID_OPTION', openStore('/k', place.options))
    expect(
      fileSystem
        .listSync('/k')
        .map((entry) => entry.name)
        .sort(),
    ).toEqual(['meta.properties', 'orders-0'])
    await rejected('INVALID_OPTION', openStore('/none', { ...place.options, create: false }))
    expect(fileSystem.statSync('/none')).toBeUndefined()
    await rejected('INVALID_OPTION', openStore('/s/notes.txt', place.options))
    await rejected('INVALID_OPTION', openStore('', place.options))
  })

  it('leaves a foreign file among the segments alone and reports it once', async () => {
    const place = new Simulated()
    {
      await using store = await place.open()
      await (await store.topic(Lines, { create: 'must' })).append({ value: 'x' })
    }
    place.fileSystem.openSync('/s/log/lines-0/notes.txt', 'create').closeSync()
    for (const again of [1, 2]) {
      await using store = await place.open()
      expect(again).toBeGreaterThan(0)
      expect(store.recovery.warnings.filter((warning) => warning.includes('notes.txt'))).toHaveLength(1)
      expect(store.recovery.clean).toBe(true)
      expect(await values((await store.topic(Lines)).read())).toEqual(['x'])
    }
    expect(place.fileSystem.statSync('/s/log/lines-0/notes.txt')).toBeDefined()
    // A topic that holds it can still be deleted; the file stays.
    await using store = await place.open()
    await store.deleteTopic('lines')
    expect(place.fileSystem.statSync('/s/log/lines-0/notes.txt')).toBeDefined()
  })
})
