import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, it } from 'vitest'
import { defineTopic, openStore, utf8 } from '../../src/varve.ts'
import { all, freshDirectory, rejected, Simulated, values } from './rig.ts'

const Lines = defineTopic('lines', { value: utf8() })
const ENTRY = pathToFileURL(join(import.meta.dirname, '../../src/varve.ts')).href

/** A process that opens the store, appends one record, and holds it until it is killed. */
async function holder(directory: string) {
  const source = `
    import { openStore, defineTopic, utf8 } from ${JSON.stringify(ENTRY)}
    const store = await openStore(${JSON.stringify(directory)})
    const topic = await store.topic(defineTopic('lines', { value: utf8() }), { create: 'if-missing' })
    await topic.append({ value: 'held' })
    console.log('ready')
    setInterval(() => undefined, 1000)`
  const child = spawn(process.execPath, ['--no-warnings', '--input-type=module', '-e', source], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await Promise.race([once(child.stdout, 'data'), once(child, 'exit')])
  expect(child.exitCode).toBeNull()
  return child
}

describe('the lock', () => {
  it('is LOCKED with the holder in another process, free when it is killed', async () => {
    const directory = freshDirectory()
    const child = await holder(directory)
    const error = await rejected('LOCKED', openStore(directory))
    expect(error.details).toEqual({ directory, pid: child.pid })
    expect([error.kind, error.retryable]).toEqual(['conflict', true])
    expect(error.message).toContain(String(child.pid))
    await rejected('LOCKED', openStore(directory, { lockWaitMs: 100 }))
    const waiting = openStore(directory, { lockWaitMs: '30s' })
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
    await using store = await waiting
    expect(store.recovery).toMatchObject({ clean: false, epoch: 1 })
    expect(await values((await store.topic(Lines)).read())).toEqual(['held'])
  })

  it('holds inside one process too, and the wait can be aborted', async () => {
    const directory = freshDirectory()
    const store = await openStore(directory)
    const error = await rejected('LOCKED', openStore(directory))
    expect(error.details.pid).toBe(process.pid)
    const reason = new Error('no more')
    const stop = new AbortController()
    const waiting = openStore(directory, { lockWaitMs: '1h', signal: stop.signal })
    const outcome = expect(waiting).rejects.toBe(reason)
    stop.abort(reason)
    await outcome
    const patient = openStore(directory, { lockWaitMs: '30s' })
    await store.close()
    await (await patient).close()
    await (await openStore(directory)).close()
  })

  it('waits on the clock that was given', async () => {
    const place = new Simulated()
    await using store = await place.open()
    const waiting = rejected('LOCKED', place.open({ lockWaitMs: '1m' }))
    await place.clock.advance('2m')
    expect((await waiting).details).toEqual({ directory: '/s', pid: 1 })
    expect(store.recovery.clean).toBe(true)
  })
})

describe('a writer that was replaced', () => {
  it('is STORE_FENCED: it writes nothing more, reads go on', async () => {
    for (const how of ['replaced', 'gone', 'damaged'] as const) {
      const place = new Simulated()
      const { fileSystem } = place
      const store = await place.open()
      const topic = await store.topic(Lines, { create: 'must' })
      await topic.append({ value: 'x' })
      const size = fileSystem.statSync('/s/log/lines-0/00000000000000000000.log')!.size
      if (how === 'gone') fileSystem.unlinkSync('/s/varve/writer')
      else {
        const file = fileSystem.openSync('/s/varve/writer', 'write')
        const length = file.sizeSync()
        const bytes = new Uint8Array(length)
        file.readSync(bytes, 0)
        file.closeSync()
        if (how === 'replaced') {
          // Another store's writer file: whole, and not ours.
          await using other = await openStore('/o', place.options)
          expect(other.recovery.clean).toBe(true)
          const theirs = fileSystem.openSync('/o/varve/writer', 'read')
          theirs.readSync(bytes, 0)
          theirs.closeSync()
        } else bytes[length - 1]! ^= 1
        fileSystem.unlinkSync('/s/varve/writer')
        const made = fileSystem.openSync('/s/varve/writer', 'create')
        made.writeSync(bytes, 0)
        made.closeSync()
      }
      for (const durability of ['disk', 'os'] as const) {
        const error: unknown = await topic.append({ value: 'y' }, { durability }).catch((caught: unknown) => caught)
        expect(error).toMatchObject({ outcome: 'definite' })
        if (how !== 'damaged')
          expect(error).toMatchObject({ code: 'STORE_FENCED', kind: 'conflict', details: { epoch: 0 } })
      }
      expect(await values(topic.read())).toEqual(['x'])
      expect(fileSystem.statSync('/s/log/lines-0/00000000000000000000.log')!.size).toBe(size)
      await store.close()
      await using again = await place.open()
      expect(await all((await again.topic(Lines)).read())).toHaveLength(1)
      expect(again.recovery.epoch).toBe(1)
    }
  })
})
