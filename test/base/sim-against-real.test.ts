import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { simulatedFileSystem } from '../../src/base/memory-file-system.ts'
import { nodeFileSystem } from '../../src/base/node-file-system.ts'
import { overlayFileSystem } from '../../src/base/overlay-file-system.ts'
import { seededRandom } from '../../src/base/seeded-random.ts'
import { randomScript, runScript, visibleTree, type Step } from '../support/file-script.kit.ts'

const real = nodeFileSystem()
const directory = mkdtempSync(join(tmpdir(), 'varve-scripts-'))
let made = 0

afterAll(() => rmSync(directory, { recursive: true, force: true }))

function realRoot(): string {
  const root = join(directory, String(made++))
  real.makeDirectorySync(root)
  return root
}

async function compare(steps: readonly Step[], options: Parameters<typeof simulatedFileSystem>[0] = {}): Promise<void> {
  const simulated = simulatedFileSystem(options)
  simulated.makeDirectorySync('/root')
  const root = realRoot()
  const answers = await runScript(real, root, steps)
  const simulatedAnswers = await runScript(simulated, '/root', steps)
  // Other systems fail the same calls with other numbers.
  if (process.platform === 'linux') expect(simulatedAnswers).toEqual(answers)
  expect(visibleTree(simulated, '/root')).toEqual(visibleTree(real, root))
  // The death of the process changes nothing that is visible, and a crash may keep everything.
  const everything = simulated.crashWith(() => true)
  expect(visibleTree(everything, '/root')).toEqual(visibleTree(real, root))
  simulated.crash(1, 'none')
  expect(visibleTree(simulated, '/root')).toEqual(visibleTree(real, root))
  expect(simulated.misuses).toEqual([])
}

/** The corners that chance seldom finds. */
const CORNERS: { readonly [name: string]: readonly Step[] } = {
  'a rename of a hard link over its other name does nothing': [
    { kind: 'create', path: 'a' },
    { kind: 'link', path: 'a', to: 'b' },
    { kind: 'rename', path: 'a', to: 'b' },
    { kind: 'list', path: '' },
  ],
  'a directory into itself, over a file, over a full and an empty one': [
    { kind: 'makeDirectory', path: 'd' },
    { kind: 'makeDirectory', path: 'd/e' },
    { kind: 'rename', path: 'd', to: 'd/e/x' },
    { kind: 'rename', path: 'd', to: 'd' },
    { kind: 'create', path: 'a' },
    { kind: 'rename', path: 'd', to: 'a' },
    { kind: 'rename', path: 'a', to: 'd' },
    { kind: 'makeDirectory', path: 'f' },
    { kind: 'rename', path: 'f', to: 'd' },
    { kind: 'rename', path: 'd', to: 'f' },
    { kind: 'link', path: 'f', to: 'g' },
    { kind: 'list', path: 'f' },
  ],
  'a file in the place of a directory': [
    { kind: 'create', path: 'a' },
    { kind: 'create', path: 'a/b' },
    { kind: 'stat', path: 'a/b' },
    { kind: 'unlink', path: 'a/b' },
    { kind: 'makeDirectory', path: 'a/b' },
    { kind: 'rename', path: 'a', to: 'a/b' },
    { kind: 'syncDirectory', path: 'a' },
    { kind: 'removeDirectory', path: 'a' },
    { kind: 'list', path: 'a' },
  ],
  'a file that is written after its name went to another': [
    { kind: 'create', path: 'a' },
    { kind: 'write', path: 'a', position: 0, length: 10, letter: 'x' },
    { kind: 'rename', path: 'a', to: 'b' },
    { kind: 'write', path: 'a', position: 5, length: 11, letter: 'y' },
    { kind: 'unlink', path: 'b' },
    { kind: 'create', path: 'b' },
    { kind: 'write', path: 'a', position: 0, length: 4, letter: 'z' },
    { kind: 'read', path: 'a', position: 0, length: 100 },
    { kind: 'size', path: 'b' },
  ],
}

describe('the simulated and the real file system answer alike', () => {
  for (let seed = 1; seed <= 30; seed++) {
    it(`in script ${seed}`, async () => {
      const random = seededRandom(seed)
      await compare(randomScript(random, 12 + Math.floor(random.fraction() * 40)))
    })
  }

  it('in two hundred short scripts, with calls that take effect in any order and in parts', async () => {
    for (let seed = 1000; seed < 1200; seed++) {
      await compare(randomScript(seededRandom(seed), 30), { interleave: seededRandom(seed), splitWrites: true })
    }
  })

  for (const [name, steps] of Object.entries(CORNERS)) it(`with ${name}`, async () => compare(steps))

  it('and the overlay answers like what it lies on', async () => {
    const renames = (step: Step): boolean => step.kind === 'rename' || step.kind === 'syncDirectory'
    for (let seed = 1; seed <= 100; seed++) {
      const random = seededRandom(seed)
      const before = randomScript(random, 30)
      const after = randomScript(random, 30).filter((step) => !renames(step))
      const below = simulatedFileSystem()
      const twin = simulatedFileSystem()
      for (const each of [below, twin]) {
        each.makeDirectorySync('/root')
        await runScript(each, '/root', before)
      }
      const untouched = visibleTree(below, '/root')
      const overlay = overlayFileSystem(below)
      expect(await runScript(overlay, '/root', after)).toEqual(await runScript(twin, '/root', after))
      expect(visibleTree(overlay, '/root')).toEqual(visibleTree(twin, '/root'))
      expect(visibleTree(below, '/root')).toEqual(untouched)
    }
  })
})
