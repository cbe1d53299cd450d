import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { FileSystem } from '../../src/base/file-system.ts'
import { simulatedFileSystem, type SimulatedFileSystem } from '../../src/base/memory-file-system.ts'
import { nodeFileSystem } from '../../src/base/node-file-system.ts'
import { seededRandom } from '../../src/base/seeded-random.ts'
import { bytesOf, randomScript, runScript, type Step } from '../support/file-script.kit.ts'

const SCRIPTS = 10
const IMAGES = 300
/** Few, so that many steps meet the same file. */
const PATHS = ['a', 'b', 'd', 'd/a']

/** Stops an ext4 at once: what its journal and its files have not on the disk yet is lost. */
const SHUTDOWN = `
import fcntl, os, struct, sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587D, struct.pack('I', 2))
`

/** Why there is no ext4 to cut the power of; undefined when there is. */
async function reasonAgainst(): Promise<string | undefined> {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'not root on Linux'
  if (!existsSync('/dev/loop-control')) return 'no loop devices'
  try {
    await withDisk(
      () => undefined,
      async () => undefined,
    )
  } catch (error) {
    return `no ext4 image can be made, mounted and shut down: ${String(error).split('\n')[0]}`
  }
  return undefined
}

function call(command: string, ...parts: string[]): void {
  execFileSync(command, parts, { stdio: 'pipe' })
}

/** Runs `work` on a new ext4 in a file, cuts its power, and answers what `look` sees after the next mount. */
async function withDisk<T>(look: (root: string) => T, work: (root: string) => Promise<void>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'varve-ext4-'))
  const [image, mount] = [join(directory, 'image'), join(directory, 'mount')]
  const root = join(mount, 'root')
  const mounted = async <R>(during: () => R | Promise<R>): Promise<R> => {
    call('mount', '-o', 'loop', image, mount)
    try {
      return await during()
    } finally {
      call('umount', mount)
    }
  }
  try {
    mkdirSync(mount)
    call('truncate', '-s', '16M', image)
    call('mkfs.ext4', '-q', '-F', image)
    await mounted(async () => {
      mkdirSync(root)
      call('sync', '-f', mount)
      await work(root)
      call('python3', '-c', SHUTDOWN, mount)
    })
    return await mounted(() => look(root))
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

interface Found {
  readonly identity: string
  /** Undefined: a directory. */
  readonly bytes: Uint8Array | undefined
}

type Tree = ReadonlyMap<string, Found>

function treeOf(fileSystem: FileSystem, root: string): Tree {
  const tree = new Map<string, Found>()
  const visit = (prefix: string): void => {
    for (const { name, kind } of fileSystem.listSync(`${root}${prefix}`)) {
      const path = `${prefix}/${name}`
      const identity = fileSystem.statSync(root + path)?.identity ?? ''
      tree.set(path, { identity, bytes: kind === 'file' ? bytesOf(fileSystem, root + path) : undefined })
      if (kind === 'directory') visit(path)
    }
  }
  visit('')
  return tree
}

function shape(tree: Tree, identityOf: (identity: string) => string): string {
  return [...tree].map(([path, { identity }]) => `${path}:${identityOf(identity)}`).join(' ')
}

/** Which simulated files a real one may be: made by the same step. A number that was used again has several. */
function pairIdentities(real: readonly Tree[], simulated: readonly Tree[]): Map<string, Set<string>> {
  const pairs = new Map<string, Set<string>>()
  real.forEach((tree, step) => {
    for (const [path, { identity }] of tree) {
      const twin = simulated[step]?.get(path)?.identity ?? ''
      pairs.set(identity, (pairs.get(identity) ?? new Set()).add(twin))
    }
  })
  return pairs
}

/** The bytes that the simulation may leave under an identity: every image's. */
function candidatesOf(images: readonly Tree[]): Map<string, Uint8Array[]> {
  const candidates = new Map<string, Uint8Array[]>()
  for (const image of images) {
    for (const { identity, bytes } of image.values()) {
      if (bytes !== undefined) candidates.set(identity, [...(candidates.get(identity) ?? []), bytes])
    }
  }
  return candidates
}

/** Each byte is one that some image has there, or a zero of growth; the size is that of some image. */
function isAllowed(bytes: Uint8Array, candidates: readonly Uint8Array[]): boolean {
  if (!candidates.some((candidate) => candidate.length === bytes.length)) return false
  const least = Math.min(...candidates.map((candidate) => candidate.length))
  return bytes.every(
    (byte, position) =>
      (byte === 0 && position >= least) || candidates.some((candidate) => candidate[position] === byte),
  )
}

async function compareCrash(steps: readonly Step[], seed: number): Promise<string> {
  const real = nodeFileSystem()
  const simulated = simulatedFileSystem()
  simulated.makeDirectorySync('/root')
  await simulated.syncDirectory('/')
  const [realTrees, simulatedTrees]: [Tree[], Tree[]] = [[], []]
  await runScript(simulated, '/root', steps, () => simulatedTrees.push(treeOf(simulated, '/root')))
  const left = await withDisk(
    (root) => treeOf(real, root),
    async (root) => {
      await runScript(real, root, steps, () => realTrees.push(treeOf(real, root)))
    },
  )
  const pairs = pairIdentities(realTrees, simulatedTrees)
  const images = imagesOf(simulated, seed)
  const shapes = new Set(images.ext4.map((image) => shape(image, (identity) => identity)))
  const twins = [...left.values()].map(({ identity }) => [...(pairs.get(identity) ?? [])])
  const isKnown = [...shapes].some((each) => matches(each, left, twins))
  expect(isKnown, `names left by ext4, script ${seed}: ${shape(left, (identity) => identity)}`).toBe(true)
  const candidates = candidatesOf([...images.posix, ...images.ext4])
  for (const [path, { identity, bytes }] of left) {
    if (bytes === undefined) continue
    const all = [...(pairs.get(identity) ?? [])].flatMap((twin) => candidates.get(twin) ?? [])
    expect(isAllowed(bytes, all), `bytes left by ext4 in ${path}, script ${seed}`).toBe(true)
  }
  return shape(left, () => '')
}

function imagesOf(simulated: SimulatedFileSystem, seed: number): { posix: Tree[]; ext4: Tree[] } {
  const seeds = Array.from({ length: IMAGES }, (_, index) => seed * IMAGES + index)
  return {
    posix: [...seeds.map((each) => simulated.crashImage(each)), ...plainImages(simulated)].map((image) =>
      treeOf(image, '/root'),
    ),
    ext4: seeds.map((each) => treeOf(simulated.crashImage(each, 'ext4'), '/root')),
  }
}

/** Every first part of the unsynced changes, with each later one: chance seldom keeps just one of many. */
function plainImages(simulated: SimulatedFileSystem): SimulatedFileSystem[] {
  const units = Array.from({ length: simulated.dirtyUnits() + 1 }, (_, unit) => unit)
  return units.flatMap((first) =>
    units.slice(first).map((single) => simulated.crashWith((unit) => unit < first || unit === single)),
  )
}

/** A shape of the simulation has the same paths, each with a twin of what is there. */
function matches(simulatedShape: string, left: Tree, twins: readonly (readonly string[])[]): boolean {
  const parts = simulatedShape === '' ? [] : simulatedShape.split(' ')
  const paths = [...left.keys()]
  return (
    parts.length === paths.length &&
    parts.every((part, index) => (twins[index] ?? []).some((twin) => part === `${paths[index]}:${twin}`))
  )
}

describe('a real ext4 whose power is cut', () => {
  it('is left in a state that the simulation allows', async () => {
    const reason = await reasonAgainst()
    if (reason !== undefined) {
      console.log(`Not compared with a real ext4: ${reason}.`)
      return
    }
    const states = new Set<string>()
    for (let seed = 1; seed <= SCRIPTS; seed++) {
      states.add(await compareCrash(randomScript(seededRandom(seed), 60, PATHS), seed))
    }
    // The scripts say something only if the cuts left different things.
    expect(states.size).toBeGreaterThan(3)
  })
})
