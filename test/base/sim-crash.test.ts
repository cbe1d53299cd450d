import { describe, expect, it } from 'vitest'
import type { File } from '../../src/base/file-system.ts'
import { simulatedFileSystem, type SimulatedFileSystem } from '../../src/base/memory-file-system.ts'
import { seededRandom } from '../../src/base/seeded-random.ts'
import { codeOf, contentOf, readAll, text, writeNew } from '../support/file-system.kit.ts'

const SEEDS = Array.from({ length: 400 }, (_, seed) => seed)

/** A directory with a synced file `a` of these bytes, open for writing. */
async function withSynced(content: string): Promise<{ fs: SimulatedFileSystem; file: File }> {
  const fs = simulatedFileSystem()
  fs.makeDirectorySync('/d')
  await fs.syncDirectory('/')
  const file = fs.openSync('/d/a', 'create')
  file.writeSync(text(content), 0)
  await file.syncData()
  await fs.syncDirectory('/d')
  return { fs, file }
}

function names(fs: SimulatedFileSystem, directory = '/d'): string {
  return fs
    .listSync(directory)
    .map((entry) => entry.name)
    .join(' ')
}

/** What `look` answers over all crash images of many seeds. */
function outcomes(
  fs: SimulatedFileSystem,
  look: (image: SimulatedFileSystem) => string,
  profile: 'posix' | 'ext4' | 'xfs' = 'posix',
): Set<string> {
  return new Set(SEEDS.map((seed) => look(fs.crashImage(seed, profile))))
}

describe('a power cut', () => {
  it('keeps what was synced and, without a seed, nothing else', async () => {
    const { fs, file } = await withSynced('synced')
    file.writeSync(text(' and not'), 6)
    writeNew(fs, '/d/b', 'new')
    fs.crash()
    expect(names(fs)).toBe('a')
    expect(readAll(fs, '/d/a')).toBe('synced')
  })

  it('loses a synced file whose name was not', async () => {
    const { fs } = await withSynced('x')
    const file = fs.openSync('/d/b', 'create')
    file.writeSync(text('bytes'), 0)
    await file.syncData()
    expect(outcomes(fs, names)).toEqual(new Set(['a', 'a b']))
    expect(outcomes(fs, names, 'ext4')).toEqual(new Set(['a b']))
  })

  it('keeps any subset of unsynced writes', async () => {
    const { fs, file } = await withSynced('......')
    for (const position of [0, 2, 4]) file.writeSync(text('##'), position)
    const images = [...fs.allCrashImages()].map((image) => readAll(image, '/d/a'))
    const all = ['......', '##....', '..##..', '####..', '....##', '##..##', '..####', '######']
    expect(images).toEqual(all)
    expect(outcomes(fs, (image) => readAll(image, '/d/a'))).toEqual(new Set(all))
  })

  it('tears a write at sectors, and may leave zeros', async () => {
    const { fs, file } = await withSynced('')
    file.writeSync(new Uint8Array(2048).fill(7), 0)
    const shapes = outcomes(fs, (image) => {
      const open = image.openSync('/d/a', 'read')
      const bytes = new Uint8Array(open.sizeSync())
      open.readSync(bytes, 0)
      const sectors = Array.from({ length: bytes.length / 512 }, (_, index) =>
        bytes.subarray(index * 512, index * 512 + 512),
      )
      expect(sectors.every((sector) => sector.every((byte) => byte === sector[0]))).toBe(true)
      return sectors.map((sector) => sector[0]).join('')
    })
    for (const shape of ['', '7', '77', '0077', '0000', '7777', '7077']) expect(shapes).toContain(shape)
  })

  it('leaves the old or the new file after a rename over it, new ones maybe without their bytes', async () => {
    const { fs } = await withSynced('old')
    writeNew(fs, '/d/a.tmp', 'new')
    fs.renameSync('/d/a.tmp', '/d/a')
    const seen = outcomes(fs, (image) => readAll(image, '/d/a'))
    expect(seen).toEqual(new Set(['old', 'new', '', '\0\0\0']))
  })

  it('leaves the old or the new file, whole, when the new one was synced before', async () => {
    const { fs } = await withSynced('old')
    const file = fs.openSync('/d/a.tmp', 'create')
    file.writeSync(text('new'), 0)
    await file.syncData()
    fs.renameSync('/d/a.tmp', '/d/a')
    expect(outcomes(fs, (image) => readAll(image, '/d/a'))).toEqual(new Set(['old', 'new']))
    await fs.syncDirectory('/d')
    expect(outcomes(fs, (image) => readAll(image, '/d/a'))).toEqual(new Set(['new']))
    expect(outcomes(fs, names)).toEqual(new Set(['a']))
  })

  it('does one, both or none of two renames, and on a journaling disk never the second alone', async () => {
    const { fs } = await withSynced('a')
    writeNew(fs, '/d/b', 'b')
    await fs.syncDirectory('/d')
    fs.renameSync('/d/a', '/d/a2')
    fs.renameSync('/d/b', '/d/b2')
    expect(outcomes(fs, names)).toEqual(new Set(['a b', 'a2 b', 'a b2', 'a2 b2']))
    expect(outcomes(fs, names, 'ext4')).toEqual(new Set(['a b', 'a2 b', 'a2 b2']))
  })

  it('never loses a file that moves to another directory', async () => {
    const { fs } = await withSynced('x')
    fs.makeDirectorySync('/e')
    await fs.syncDirectory('/')
    fs.renameSync('/d/a', '/e/a')
    const places = (image: SimulatedFileSystem): string => `${names(image, '/d')}|${names(image, '/e')}`
    expect(outcomes(fs, places)).toEqual(new Set(['a|', 'a|a', '|a']))
    await fs.syncDirectory('/d')
    expect(outcomes(fs, places)).toEqual(new Set(['a|', 'a|a', '|a']))
    await fs.syncDirectory('/e')
    await fs.syncDirectory('/d')
    expect(outcomes(fs, places)).toEqual(new Set(['|a']))
  })

  it('lays new bytes over old ones when a truncation is lost', async () => {
    const { fs, file } = await withSynced('0123456789')
    file.truncateSync(2)
    file.writeSync(text('ab'), 2)
    for (const profile of ['posix', 'xfs'] as const) {
      const seen = outcomes(fs, (image) => readAll(image, '/d/a'), profile)
      expect(seen).toContain('01ab456789')
      expect(seen).toContain('0123456789')
      expect(seen).toContain('01ab')
    }
    await file.syncData()
    expect(outcomes(fs, (image) => readAll(image, '/d/a'))).toEqual(new Set(['01ab']))
  })

  it('brings an unlinked file back until the directory is synced', async () => {
    const { fs, file } = await withSynced('x')
    file.closeSync()
    fs.unlinkSync('/d/a')
    expect(outcomes(fs, names)).toEqual(new Set(['', 'a']))
    await fs.syncDirectory('/d')
    expect(outcomes(fs, names)).toEqual(new Set(['']))
  })

  it('loses a directory whose name was not synced, with all in it', async () => {
    const fs = simulatedFileSystem()
    fs.makeDirectorySync('/d')
    const file = fs.openSync('/d/a', 'create')
    await file.syncData()
    await fs.syncDirectory('/d')
    expect(outcomes(fs, (image) => names(image, '/'))).toEqual(new Set(['', 'd']))
  })

  it('leaves a disk that can crash again at once, with the same result', async () => {
    const { fs, file } = await withSynced('0123')
    file.writeSync(text('abcd'), 2)
    const image = fs.crashImage(3)
    expect(image.dirtyUnits()).toBe(0)
    const before = readAll(image, '/d/a')
    for (const seed of SEEDS.slice(0, 20)) expect(readAll(image.crashImage(seed), '/d/a')).toBe(before)
    expect(image.bootIdSync()).not.toBe(fs.bootIdSync())
  })

  it('cuts only the copy: this disk goes on', async () => {
    const { fs, file } = await withSynced('0123')
    file.writeSync(text('ab'), 0)
    const images = SEEDS.slice(0, 50).map((seed) => fs.crashImage(seed))
    const texts = images.map((image) => readAll(image, '/d/a'))
    file.writeSync(text('XY'), 2)
    await file.syncData()
    expect(readAll(fs, '/d/a')).toBe('abXY')
    expect(images.map((image) => readAll(image, '/d/a'))).toEqual(texts)
    const image = images[0]
    const open = image?.openSync('/d/a', 'write')
    open?.writeSync(text('zzzz'), 0)
    expect(readAll(fs, '/d/a')).toBe('abXY')
  })

  it('is the same for the same seed', async () => {
    const { fs, file } = await withSynced('0123')
    for (let position = 0; position < 20; position++) file.writeSync(new Uint8Array(700).fill(position), position * 500)
    for (const seed of SEEDS.slice(0, 20)) {
      expect(readAll(fs.crashImage(seed), '/d/a')).toBe(readAll(fs.crashImage(seed), '/d/a'))
    }
  })

  it('offers finer units for the enumeration', async () => {
    const { fs, file } = await withSynced('')
    file.writeSync(new Uint8Array(5000).fill(1), 300)
    expect(fs.dirtyUnits('operation')).toBe(1)
    expect(fs.dirtyUnits('page')).toBe(2)
    expect(fs.dirtyUnits('sector')).toBe(11)
    const image = fs.crashWith((unit) => unit === 1, 'page')
    expect(image.statSync('/d/a')?.size).toBe(5300)
    expect(readAll(image, '/d/a').slice(4094, 4098)).toBe('\0\0\u0001\u0001')
  })
})

describe('the death of the process', () => {
  it('keeps everything, still unsynced', async () => {
    const { fs, file } = await withSynced('synced')
    file.writeSync(text('unsynced'), 0)
    writeNew(fs, '/d/b', 'new')
    const boot = fs.bootIdSync()
    fs.crash(1, 'none')
    expect(names(fs)).toBe('a b')
    expect(readAll(fs, '/d/a')).toBe('unsynced')
    expect(fs.bootIdSync()).toBe(boot)
    fs.crash()
    expect(names(fs)).toBe('a')
    expect(readAll(fs, '/d/a')).toBe('synced')
    expect(fs.bootIdSync()).not.toBe(boot)
  })
})

describe('after a crash', () => {
  it('what was open is dead, closes quietly, and the lock is free', async () => {
    const { fs, file } = await withSynced('x')
    const session = fs.session()
    const lock = fs.lockSync('/d/lock')
    const write = file.write(text('y'), 0)
    fs.crash()
    await expect(write).rejects.toMatchObject({ code: 'ESTALE' })
    expect(codeOf(() => file.readSync(new Uint8Array(1), 0))).toBe('ESTALE')
    await expect(file.syncData()).rejects.toMatchObject({ code: 'ESTALE', path: '/d/a' })
    expect(codeOf(() => session.listSync('/d'))).toBe('ESTALE')
    await expect(session.syncDirectory('/d')).rejects.toMatchObject({ code: 'ESTALE' })
    expect(() => file.closeSync()).not.toThrow()
    const again = fs.lockSync('/d/lock')
    expect(again).toBeDefined()
    lock?.releaseSync()
    expect(fs.lockSync('/d/lock')).toBeUndefined()
    expect(readAll(fs, '/d/a')).toBe('x')
    expect(fs.openFiles).toBe(0)
  })

  it('a crash within an operation stops that operation too', () => {
    const fs = simulatedFileSystem()
    fs.makeDirectorySync('/d')
    fs.onOperation(({ kind, phase }) => {
      if (kind === 'makeDirectory' && phase === 'before') fs.crash(1, 'none')
    })
    expect(codeOf(() => fs.makeDirectorySync('/e'))).toBe('ESTALE')
    expect(names(fs, '/')).toBe('d')
  })
})

describe('a failed sync', () => {
  it('leaves bytes that are neither durable nor dirty', async () => {
    const { fs, file } = await withSynced('old!')
    file.writeSync(text('new bytes'), 0)
    fs.failNext('sync', 'EIO')
    await expect(file.syncData()).rejects.toMatchObject({ code: 'EIO', path: '/d/a' })
    expect(contentOf(file)).toBe('new bytes')
    await file.syncData()
    expect(contentOf(file)).toBe('new bytes')
    expect(outcomes(fs, (image) => readAll(image, '/d/a').slice(0, 4))).toEqual(new Set(['old!']))
    fs.evictCaches()
    expect(contentOf(file)).toBe('old!\0\0\0\0\0')
  })

  it('is mended only by writing the bytes again', async () => {
    const { fs, file } = await withSynced('old')
    file.writeSync(text('new'), 0)
    fs.failNext('sync', 'EIO')
    await expect(file.syncData()).rejects.toThrow()
    file.writeSync(text('new'), 0)
    await file.syncData()
    fs.crash()
    expect(readAll(fs, '/d/a')).toBe('new')
  })

  it('is told once to each descriptor that was open, and to none opened later', async () => {
    const { fs, file } = await withSynced('old')
    const other = fs.openSync('/d/a', 'write')
    file.writeSync(text('new'), 0)
    fs.failNext('sync', 'EIO')
    await expect(file.syncData()).rejects.toMatchObject({ code: 'EIO' })
    const later = fs.openSync('/d/a', 'write')
    await later.syncData()
    await expect(other.syncData()).rejects.toMatchObject({ code: 'EIO' })
    await other.syncData()
    await file.syncData()
  })

  it('of a directory keeps its names unsynced', async () => {
    const { fs } = await withSynced('x')
    writeNew(fs, '/d/b', '')
    fs.failNext('sync', 'EIO')
    await expect(fs.syncDirectory('/d')).rejects.toMatchObject({ code: 'EIO', path: '/d' })
    expect(outcomes(fs, names)).toEqual(new Set(['a', 'a b']))
    await fs.syncDirectory('/d')
    expect(outcomes(fs, names)).toEqual(new Set(['a b']))
  })
})

describe('a full disk', () => {
  it('takes what fits, then fails, and still renames and removes', () => {
    const fs = simulatedFileSystem()
    fs.setCapacity(8192)
    writeNew(fs, '/a', 'x')
    expect(fs.freeBytesSync('/')).toBe(4096)
    const file = fs.openSync('/b', 'create')
    expect(codeOf(() => file.writeSync(new Uint8Array(5000).fill(1), 0))).toBe('ENOSPC')
    expect(file.sizeSync()).toBe(4096)
    expect(fs.freeBytesSync('/')).toBe(0)
    file.writeSync(new Uint8Array(4096).fill(2), 0)
    fs.renameSync('/a', '/c')
    fs.unlinkSync('/c')
    expect(fs.freeBytesSync('/')).toBe(4096)
    file.writeSync(new Uint8Array(1000), 4096)
    fs.unlinkSync('/b')
    expect(fs.freeBytesSync('/')).toBe(0)
    file.closeSync()
    expect(fs.freeBytesSync('/')).toBe(8192)
  })

  it('counts the room of a file once, whatever its names', () => {
    const fs = simulatedFileSystem()
    fs.setCapacity(8192)
    writeNew(fs, '/a', 'x')
    fs.linkSync('/a', '/b')
    fs.renameSync('/a', '/c')
    expect(fs.freeBytesSync('/')).toBe(4096)
    fs.unlinkSync('/b')
    fs.unlinkSync('/c')
    expect(fs.freeBytesSync('/')).toBe(8192)
    writeNew(fs, '/d', 'x')
    fs.crash(1, 'none')
    expect(fs.freeBytesSync('/')).toBe(4096)
    fs.crash()
    expect(fs.freeBytesSync('/')).toBe(8192)
  })
})

describe('faults on demand', () => {
  it('fail the next operation, once', async () => {
    const fs = simulatedFileSystem()
    fs.failNext('open', 'EMFILE')
    expect(codeOf(() => fs.openSync('/a', 'create'))).toBe('EMFILE')
    const file = fs.openSync('/a', 'create')
    fs.failNext('write', 'ENOSPC')
    await expect(file.write(new Uint8Array(3000).fill(1), 0)).rejects.toMatchObject({ code: 'ENOSPC', path: '/a' })
    expect(file.sizeSync()).toBe(1024)
    fs.failNext('write', 'EIO')
    expect(codeOf(() => file.writeSync(text('x'), 0))).toBe('EIO')
    fs.failNext('read', 'EIO')
    fs.failNext('read', 'EIO')
    expect(codeOf(() => file.readSync(new Uint8Array(1), 0))).toBe('EIO')
    await expect(file.read(new Uint8Array(1), 0)).rejects.toMatchObject({ code: 'EIO' })
    expect(file.readSync(new Uint8Array(1), 0)).toBe(1)
    fs.failNext('truncate', 'EROFS')
    expect(codeOf(() => file.truncateSync(0))).toBe('EROFS')
    fs.failNext('rename', 'EACCES')
    expect(codeOf(() => fs.renameSync('/a', '/b'))).toBe('EACCES')
    fs.failNext('remove', 'EIO')
    expect(codeOf(() => fs.unlinkSync('/a'))).toBe('EIO')
    fs.unlinkSync('/a')
  })

  it('limit the open files', () => {
    const fs = simulatedFileSystem({ openLimit: 2 })
    const files = [fs.openSync('/a', 'create'), fs.openSync('/b', 'create')]
    expect(codeOf(() => fs.openSync('/c', 'create'))).toBe('EMFILE')
    expect(fs.statSync('/c')).toBeUndefined()
    files[0]?.closeSync()
    fs.openSync('/c', 'create')
  })

  it('hit the n-th operation through a hook, before or after its effect', () => {
    const fs = simulatedFileSystem()
    const failure = Object.assign(new Error('EIO'), { code: 'EIO' })
    const seen: string[] = []
    fs.onOperation(({ number, kind, path, phase }) => {
      seen.push(`${number} ${phase} ${kind} ${path}`)
      if ((number === 1 && phase === 'before') || (number === 2 && phase === 'after')) throw failure
    })
    expect(() => fs.makeDirectorySync('/a')).toThrow(failure)
    expect(() => fs.makeDirectorySync('/b')).toThrow(failure)
    fs.onOperation(undefined)
    expect(names(fs, '/')).toBe('b')
    expect(seen).toEqual(['1 before makeDirectory /a', '2 before makeDirectory /b', '2 after makeDirectory /b'])
    expect(fs.operationCount).toBe(3)
  })

  it('show a write half done', () => {
    const fs = simulatedFileSystem({ splitWrites: true })
    const file = fs.openSync('/a', 'create')
    let half = ''
    fs.onOperation(({ phase }) => {
      if (phase === 'within') half = readAll(fs.crashImage(1, 'none'), '/a')
    })
    file.writeSync(text('123456'), 0)
    expect(half).toBe('123')
    expect(contentOf(file)).toBe('123456')
  })
})

describe('misuse throws and is noted', () => {
  it('when writes overlap or a sync has a write under way', async () => {
    const fs = simulatedFileSystem()
    const file = fs.openSync('/a', 'create')
    const other = fs.openSync('/a', 'write')
    const calls = [file.write(text('abc'), 0), other.write(text('x'), 2), file.syncData(), other.write(text('def'), 3)]
    const results = await Promise.allSettled(calls)
    expect(results.map((result) => result.status)).toEqual(['fulfilled', 'rejected', 'rejected', 'fulfilled'])
    expect(results[1]).toMatchObject({ reason: { code: 'INTERNAL' } })
    await file.syncData()
    expect(contentOf(file)).toBe('abcdef')
    expect(fs.misuses).toHaveLength(2)
  })
})

describe('an interleaved run', () => {
  async function run(seed: number): Promise<{ order: string; hash: number }> {
    const fs = simulatedFileSystem({ interleave: seededRandom(seed) })
    const file = fs.openSync('/a', 'create')
    const order: number[] = []
    await Promise.all(
      Array.from({ length: 6 }, async (_, index) => {
        await file.write(text(String(index)), index)
        order.push(index)
      }),
    )
    await file.syncData()
    expect(contentOf(file)).toBe('012345')
    return { order: order.join(''), hash: fs.traceHash }
  }

  it('completes calls in another order for another seed, in the same for the same', async () => {
    const runs = await Promise.all(Array.from({ length: 20 }, async (_, seed) => run(seed)))
    expect(new Set(runs.map((each) => each.order)).size).toBeGreaterThan(5)
    expect(new Set(runs.map((each) => each.hash)).size).toBeGreaterThan(5)
    expect(await run(4)).toEqual(runs[4])
  })
})
