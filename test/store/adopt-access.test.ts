/**
 * Taking over a directory in which something is no file, or belongs to somebody else: refused before anything changes.
 */
import { execFileSync } from 'node:child_process'
import { lstatSync, mkdirSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { SimulatedFileSystem } from '../../src/base/memory-file-system.ts'
import { errnoError } from '../../src/base/sim-errno.ts'
import { initHashes } from '../../src/base/xxh64.ts'
import { TUNING } from '../../src/options.ts'
import { openStore, type Store } from '../../src/varve.ts'
import { batches, CLEAN_MARK, KafkaDirectory, treeOf, upTo } from '../support/kafka-directory.ts'
import { freshDirectory, rejected, SMALL } from './rig.ts'

beforeAll(initHashes)

const FIRST = '00000000000000000000.log'
const SECOND = '00000000000000000010.log'

function real(): string {
  const directory = freshDirectory()
  mkdirSync(join(directory, 'orders-0'))
  const files = {
    'meta.properties': 'version=1\ncluster.id=c\nnode.id=1\n',
    '.kafka_cleanshutdown': CLEAN_MARK,
    'recovery-point-offset-checkpoint': '0\n1\norders 0 15\n',
    [`orders-0/${FIRST}`]: batches({ offsets: upTo(0, 10) }),
    [`orders-0/${SECOND}`]: batches({ offsets: upTo(10, 15) }),
  }
  for (const [name, content] of Object.entries(files)) writeFileSync(join(directory, name), content)
  return directory
}

/** Every name with its kind, size and time of change. */
function looks(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .toSorted()
    .map((name) => {
      const { mode, size, mtimeMs } = lstatSync(join(directory, name))
      return `${name} ${mode} ${size} ${mtimeMs}`
    })
}

describe('what is no file', () => {
  const link = (path: string): void => {
    renameSync(path, `${path}.real`)
    symlinkSync(`${path}.real`, path)
  }
  const folder = (path: string): void => {
    rmSync(path, { force: true })
    mkdirSync(path)
  }
  const pipe = (path: string): void => {
    rmSync(path)
    execFileSync('mkfifo', [path])
  }
  const cases: readonly (readonly [what: string, name: string, change: (path: string) => void, message: RegExp])[] = [
    ['a segment is a link', `orders-0/${SECOND}`, link, /orders-0\/0+10\.log, which is a link or a device/],
    ['a segment is a folder', `orders-0/${SECOND}`, folder, /orders-0\/0+10\.log, which is a folder/],
    ['a segment is a pipe', `orders-0/${SECOND}`, pipe, /orders-0\/0+10\.log, which is a link or a device/],
    ['an index is a folder', 'orders-0/00000000000000000000.index', folder, /orders-0\/0+\.index, which is a folder/],
    ['what was deleted is a folder', `orders-0/${FIRST}.deleted`, folder, /0+\.log\.deleted, which is a folder/],
    ['a checkpoint is a pipe', 'recovery-point-offset-checkpoint', pipe, /checkpoint, which is a link or a device/],
    ['the mark is a folder', '.kafka_cleanshutdown', folder, /\.kafka_cleanshutdown, which is a folder/],
    ['log/ is a link', 'log', (path) => symlinkSync(freshDirectory(), path), /\/log, which is no folder/],
  ]
  for (const [what, name, change, message] of cases) {
    test(what, async () => {
      const directory = real()
      change(join(directory, name))
      const before = looks(directory)
      const error = await rejected('INVALID_OPTION', openStore(directory, { adopt: true }))
      expect(error.message).toMatch(message)
      expect(looks(directory)).toEqual(before)
    })
  }
})

describe('what belongs to somebody else', () => {
  async function refusal(theirs: string): Promise<string> {
    const kafka = new KafkaDirectory('/s', new TheirFiles(theirs))
    for (const partition of [0, 1]) {
      await kafka.partition(`orders-${partition}`, { segments: { 0: batches({ offsets: upTo(0, 5) }) } })
    }
    const { fs } = await kafka.finish(true)
    const before = treeOf(fs, '/')
    const opened: Promise<Store> = openStore('/s', { fileSystem: fs, [TUNING]: SMALL, adopt: true } as {
      mode?: 'read-write'
    })
    const { message } = await rejected('INVALID_OPTION', opened)
    expect(treeOf(fs, '/')).toEqual(before)
    return message
  }

  test('a folder', async () => {
    expect(await refusal('/s/orders-1')).toMatch(/made and removed in \/s\/orders-1 /)
    expect(await refusal('/s')).toMatch(/made and removed in \/s /)
  })

  test('a data file', async () => {
    expect(await refusal(`/s/orders-1/${FIRST}`)).toMatch(/orders-1\/0+\.log, which cannot be opened .*EACCES/)
  })
})

/** A disk with a file or a folder of another user, which this process may read. */
class TheirFiles extends SimulatedFileSystem {
  readonly #theirs: string

  constructor(theirs: string) {
    super()
    this.#theirs = theirs
  }

  override openSync(
    ...[path, mode]: Parameters<SimulatedFileSystem['openSync']>
  ): ReturnType<SimulatedFileSystem['openSync']> {
    if (path === this.#theirs && mode === 'write') throw errnoError('EACCES', 'open', path)
    return super.openSync(path, mode)
  }

  override isWritableSync(directory: string): boolean {
    return directory !== this.#theirs && super.isWritableSync(directory)
  }

  override session(): TheirFiles {
    return this
  }
}
