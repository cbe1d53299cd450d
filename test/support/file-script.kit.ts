/**
 * Scripts of file operations, run step by step on any file system; what every step answered, and what is left.
 */
import type { File, FileSystem } from '../../src/base/file-system.ts'
import type { Random } from '../../src/base/random.ts'
import { text } from './file-system.kit.ts'

export type Step =
  | {
      readonly kind: 'create' | 'open' | 'close' | 'sync' | 'size' | 'stat' | 'list' | 'syncDirectory'
      readonly path: string
    }
  | { readonly kind: 'makeDirectory' | 'removeDirectory' | 'unlink'; readonly path: string }
  | { readonly kind: 'rename' | 'link'; readonly path: string; readonly to: string }
  | {
      readonly kind: 'write'
      readonly path: string
      readonly position: number
      readonly letter: string
      readonly length: number
    }
  | { readonly kind: 'read'; readonly path: string; readonly position: number; readonly length: number }
  | { readonly kind: 'truncate'; readonly path: string; readonly size: number }

const PATHS = ['a', 'b', 'c', 'd', 'd/a', 'd/b', 'd/e', 'd/e/a']
const KINDS: readonly Step['kind'][] = [
  'create', 'create', 'create', 'open', 'close', 'sync', 'size', 'stat', 'list', 'syncDirectory',
  'makeDirectory', 'makeDirectory', 'removeDirectory', 'unlink', 'rename', 'rename', 'link',
  'write', 'write', 'write', 'write', 'read', 'truncate',
] // prettier-ignore

/** Descriptors of a script by path; files that fell out of the map stay open until the end. */
class Descriptors {
  readonly byPath = new Map<string, File>()
  readonly all = new Set<File>()

  add(path: string, file: File): void {
    this.byPath.set(path, file)
    this.all.add(file)
  }

  /** Undefined: the step has nothing to do. */
  find(path: string): File | undefined {
    return this.byPath.get(path)
  }

  close(path: string): void {
    const file = this.byPath.get(path)
    if (file === undefined) return
    this.byPath.delete(path)
    this.all.delete(file)
    file.closeSync()
  }

  closeAll(): void {
    for (const file of this.all) file.closeSync()
  }
}

export function randomScript(random: Random, length: number, paths: readonly string[] = PATHS): Step[] {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random.fraction() * list.length)]!
  const upTo = (limit: number): number => Math.floor(random.fraction() * limit)
  return Array.from({ length }, (): Step => {
    const kind = pick(KINDS)
    const path = pick(paths)
    if (kind === 'rename' || kind === 'link') return { kind, path, to: pick(paths) }
    if (kind === 'read') return { kind, path, position: upTo(9000), length: upTo(9000) }
    if (kind === 'truncate') return { kind, path, size: upTo(9000) }
    if (kind !== 'write') return { kind, path }
    return { kind, path, position: upTo(9000), length: upTo(9000), letter: pick(['v', 'w', 'x', 'y', 'z']) }
  })
}

/** What each step answered: a value, or the errno. */
export async function runScript(
  fileSystem: FileSystem,
  root: string,
  steps: readonly Step[],
  afterStep: () => void = () => undefined,
): Promise<string[]> {
  const answers: string[] = []
  const open = new Descriptors()
  for (const step of steps) {
    try {
      answers.push(`${describeStep(step)} = ${await runStep(fileSystem, root, step, open)}`)
    } catch (error) {
      answers.push(`${describeStep(step)} = ${String((error as { code?: unknown }).code ?? error)}`)
    }
    afterStep()
  }
  open.closeAll()
  return answers
}

function describeStep(step: Step): string {
  return Object.values(step).join(' ')
}

async function runStep(fileSystem: FileSystem, root: string, step: Step, open: Descriptors): Promise<string> {
  const path = `${root}/${step.path}`
  switch (step.kind) {
    case 'create':
    case 'open':
      open.add(step.path, fileSystem.openSync(path, step.kind === 'create' ? 'create' : 'write'))
      return 'open'
    case 'close':
      open.close(step.path)
      return 'closed'
    case 'stat':
      return shownStat(fileSystem, path)
    case 'list':
      return fileSystem
        .listSync(path)
        .map((entry) => `${entry.kind} ${entry.name}`)
        .join(', ')
    case 'syncDirectory':
      await fileSystem.syncDirectory(path)
      return 'synced'
    case 'makeDirectory':
      return String(fileSystem.makeDirectorySync(path))
    case 'removeDirectory':
      return String(fileSystem.removeDirectorySync(path))
    case 'unlink':
      return String(fileSystem.unlinkSync(path))
    case 'rename':
      return String(fileSystem.renameSync(path, `${root}/${step.to}`))
    case 'link':
      return String(fileSystem.linkSync(path, `${root}/${step.to}`))
    default:
      return runFileStep(open.find(step.path), step)
  }
}

async function runFileStep(file: File | undefined, step: Step): Promise<string> {
  if (file === undefined) return 'not open'
  switch (step.kind) {
    case 'write': {
      const bytes = text(step.letter.repeat(step.length))
      if (step.length % 2 === 0) file.writeSync(bytes, step.position)
      else await file.write(bytes, step.position)
      return 'written'
    }
    case 'read': {
      const into = new Uint8Array(step.length)
      const count = step.length % 2 === 0 ? file.readSync(into, step.position) : await file.read(into, step.position)
      return `${count} ${runsOf(into.subarray(0, count))}`
    }
    case 'truncate':
      return String(file.truncateSync(step.size))
    case 'sync':
      return String(await file.syncData())
    default:
      return String(file.sizeSync())
  }
}

function shownStat(fileSystem: FileSystem, path: string): string {
  const stat = fileSystem.statSync(path)
  return stat?.kind === 'file' ? `file ${stat.size}` : String(stat?.kind)
}

/** Every path below `root`, with its bytes in short. */
export function visibleTree(fileSystem: FileSystem, root: string): Map<string, string> {
  const tree = new Map<string, string>()
  const visit = (directory: string, prefix: string): void => {
    for (const { name, kind } of fileSystem.listSync(directory)) {
      if (kind === 'directory') visit(`${directory}/${name}`, `${prefix}${name}/`)
      tree.set(
        `${prefix}${name}`,
        kind === 'directory' ? 'directory' : runsOf(bytesOf(fileSystem, `${directory}/${name}`)),
      )
    }
  }
  visit(root, '')
  return tree
}

export function bytesOf(fileSystem: FileSystem, path: string): Uint8Array {
  const file = fileSystem.openSync(path, 'read')
  const bytes = new Uint8Array(file.sizeSync())
  file.readSync(bytes, 0)
  file.closeSync()
  return bytes
}

/** `x100 010 y3`: 100 times x, 10 zeros, 3 times y. */
function runsOf(bytes: Uint8Array): string {
  const runs: string[] = []
  for (let start = 0; start < bytes.length;) {
    let end = start + 1
    while (end < bytes.length && bytes[end] === bytes[start]) end++
    runs.push(`${bytes[start] === 0 ? '0' : String.fromCharCode(bytes[start] ?? 0)}*${end - start}`)
    start = end
  }
  return runs.join(' ')
}
