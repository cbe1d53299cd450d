/**
 * A log that has lost one of its segments: nothing answers for what was there, nothing hides that it is gone, and the
 * file is taken when it is brought back.
 */
import { readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { defineTopic, openStore, utf8 } from '../../src/varve.ts'
import type { Store, Topic } from '../../src/varve.ts'
import { collected } from '../support/collected.ts'
import { all, freshDirectory, rejected } from './rig.ts'

const Names = defineTopic('names', {
  key: utf8(),
  value: utf8(),
  config: { cleanupPolicy: 'compact', segmentBytes: '4KiB', fileDeleteDelayMs: 0 },
})

interface Lost {
  readonly directory: string
  /** The segment with the newest record of `alice` and the tombstone of `bob`. */
  readonly path: string
  readonly saved: string
}

/** A closed store. `isCleaned`: what lies before the lost segment was cleaned once. */
async function lost(isCleaned: boolean, withCheckpoint: boolean): Promise<Lost> {
  const directory = freshDirectory()
  const store = await openStore(directory)
  const names = await store.topic(Names, { create: 'must' })
  await names.append({ key: 'alice', value: 'old' })
  await names.append({ key: 'bob', value: 'old' })
  await pad(names, 'a')
  if (isCleaned) await names.clean({ force: true })
  const { offset } = await names.append({ key: 'alice', value: 'new' })
  await names.delete('bob')
  await pad(names, 'b')
  await names.append({ key: 'carol', value: 'late' })
  await store.close()
  if (!withCheckpoint) rmSync(join(directory, 'varve/keymap'), { recursive: true })
  const log = join(directory, 'log/names-0')
  const bases = readdirSync(log).flatMap((name) => (name.endsWith('.log') ? [Number(name.slice(0, -4))] : []))
  const base = Math.max(...bases.filter((each) => each <= offset))
  const path = join(log, `${base}`.padStart(20, '0') + '.log')
  const saved = join(directory, 'saved')
  renameSync(path, saved)
  return { directory, path, saved }
}

async function pad(names: Topic<string, string, 'names'>, prefix: string): Promise<void> {
  for (let n = 0; n < 80; n++) await names.append({ key: `${prefix}${n}`, value: 'x'.repeat(100) })
}

async function reopened(directory: string): Promise<{ store: Store; names: Topic<string, string, 'names'> }> {
  const store = await openStore(directory)
  return { store, names: await store.topic(Names) }
}

test.each([
  { isCleaned: false, withCheckpoint: true },
  { isCleaned: false, withCheckpoint: false },
  { isCleaned: true, withCheckpoint: true },
  { isCleaned: true, withCheckpoint: false },
])('no older record answers, at any open (%o)', async ({ isCleaned, withCheckpoint }) => {
  const { directory, path, saved } = await lost(isCleaned, withCheckpoint)
  for (let open = 0; open < 3; open++) {
    const { store, names } = await reopened(directory)
    expect(store.recovery.warnings.join()).toContain('are not in')
    for (const key of ['alice', 'bob', 'nobody']) {
      if (key === 'nobody' && withCheckpoint) continue
      await rejected('CORRUPT', names.get(key))
      await rejected('CORRUPT', collected(names.history(key)))
    }
    await rejected('CORRUPT', all(names.read({ from: 'earliest' })))
    await rejected('CORRUPT', names.clean({ force: true }))
    expect(store.stats().cleaner.uncleanable).toHaveLength(1)
    expect((await names.get('carol'))?.value).toBe('late')
    await store.close()
  }
  renameSync(saved, path)
  const { store, names } = await reopened(directory)
  expect(store.recovery.warnings).toEqual([])
  expect((await names.get('alice'))?.value).toBe('new')
  expect(await names.get('bob')).toBeUndefined()
  await names.clean({ force: true })
  expect((await collected(names.history('alice'))).map(({ value }) => value)).toEqual(['new'])
  await store.close()
})
