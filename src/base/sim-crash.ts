/**
 * What a power cut leaves of a simulated disk.
 *
 * Owns     the choice of the unsynced changes that survive, and the disk that results. The disk itself goes on.
 * Holds    What is durable is there. Of the rest a legal part survives, by profile:
 *          posix  any subset of the changes, each on its own; a write whole, not at all, or torn
 *          ext4   names as a prefix of their order; the sync of a new file has made its name durable
 *          xfs    as ext4, and most truncations are lost while the writes behind them survive: the file has its old
 *                 length, with new bytes laid over old ones
 *          none   the process died, the machine did not: all is there, and still unsynced
 *          A torn write keeps some of its sectors (512 bytes) or pages; a sector is there whole or not at all. A
 *          file may have grown, with zeros, for bytes that were lost.
 */
import type { Random } from './random.ts'
import { SimDisk } from './sim-disk.ts'
import { applyName, applyOp, SimDirectory, SimFileNode, type FileOp, type NameOp, type SimNode } from './sim-node.ts'
import { pagesFor, SIM_PAGE_BYTES, type Pages } from './sim-pages.ts'

export type CrashProfile = 'posix' | 'ext4' | 'xfs' | 'none'

/** How finely the enumeration of crash states cuts a write. */
export type CrashGrain = 'operation' | 'page' | 'sector'

const GRAIN_BYTES: { readonly [G in CrashGrain]: number } = { operation: Infinity, page: SIM_PAGE_BYTES, sector: 512 }

/** Which unsynced changes survive. */
export interface Survivors {
  keepsName(op: NameOp): boolean
  /** Applies to the durable bytes of a file what else survives. */
  keepBytes(file: SimFileNode, pages: Pages): void
}

/** Nothing that was not synced. */
export const NOTHING: Survivors = { keepsName: () => false, keepBytes: () => undefined }

/** Something that a crash keeps or loses. */
export type CrashUnit =
  | { readonly kind: 'name'; readonly op: NameOp }
  | {
      readonly kind: 'bytes'
      readonly file: SimFileNode
      readonly op: FileOp
      readonly start: number
      readonly end: number
    }

/** The disk as it is after a power cut: nothing is dirty, and it is another boot. */
export function afterPowerCut(disk: SimDisk, survivors: Survivors): SimDisk {
  const kept = keptNames(disk, survivors)
  const left = emptyCopy(disk, disk.boot + 1)
  const copies = new Map<SimNode, SimNode>([[disk.root, left.root]])
  const fill = (from: SimDirectory, to: SimDirectory): void => {
    const names = new Map(from.durable)
    for (const op of kept) if (op.directory === from) applyName(names, op)
    for (const [name, node] of names) {
      const copy = copies.get(node) ?? copyNode(node)
      if (copy.kind === 'file') copy.links++
      to.durable.set(name, copy)
      to.cached.set(name, copy)
    }
  }
  const copyNode = (node: SimNode): SimNode => {
    const copy = node.kind === 'file' ? survivingFile(node, survivors) : new SimDirectory(node.number)
    copies.set(node, copy)
    if (node.kind === 'directory' && copy.kind === 'directory') fill(node, copy)
    if (copy.kind === 'file') left.usedPages += pagesFor(copy.cached.size)
    return copy
  }
  fill(disk.root, left.root)
  return left
}

/** The disk as it is: what is cached stays cached, what is dirty stays dirty. Only descriptors are gone. */
export function afterProcessDeath(disk: SimDisk): SimDisk {
  const left = emptyCopy(disk, disk.boot)
  left.journaledUpTo = disk.journaledUpTo
  const copies = new Map<SimNode, SimNode>([[disk.root, left.root]])
  const copyOf = (node: SimNode): SimNode => {
    const known = copies.get(node)
    if (known !== undefined) return known
    const copy = node.kind === 'file' ? sameFile(node) : new SimDirectory(node.number)
    copies.set(node, copy)
    if (node.kind === 'directory' && copy.kind === 'directory') copyNames(node, copy)
    if (copy.kind === 'file' && copy.links > 0) left.usedPages += pagesFor(copy.cached.size)
    if (node.kind === 'file' && copy.kind === 'file' && disk.dirtyFiles.has(node)) left.dirtyFiles.add(copy)
    return copy
  }
  const copyNames = (from: SimDirectory, to: SimDirectory): void => {
    for (const [name, node] of from.cached) to.cached.set(name, copyOf(node))
    for (const [name, node] of from.durable) to.durable.set(name, copyOf(node))
  }
  copyNames(disk.root, left.root)
  left.nameOps = copyNameOps(disk.nameOps, copyOf)
  return left
}

/** The unsynced changes, one by one: those of names first, then those of files, each in order. */
export function crashUnits(disk: SimDisk, grain: CrashGrain): CrashUnit[] {
  const units: CrashUnit[] = disk.nameOps.map((op) => ({ kind: 'name', op }))
  const reachable = reachableNodes(disk)
  for (const file of disk.dirtyFiles) {
    if (!reachable.has(file)) continue
    for (const op of file.dirty) {
      for (const [start, end] of piecesOf(op, GRAIN_BYTES[grain])) units.push({ kind: 'bytes', file, op, start, end })
    }
  }
  return units
}

/** Exactly the units whose index `keep` answers true for. */
export function chosenUnits(units: readonly CrashUnit[], keep: (unitIndex: number) => boolean): Survivors {
  const names = new Set<NameOp>()
  const bytes = new Map<SimFileNode, CrashUnit[]>()
  units.forEach((unit, index) => {
    if (!keep(index)) return
    if (unit.kind === 'name') names.add(unit.op)
    else bytes.set(unit.file, [...(bytes.get(unit.file) ?? []), unit])
  })
  return {
    keepsName: (op) => names.has(op),
    keepBytes: (file, pages) => {
      for (const unit of bytes.get(file) ?? [])
        if (unit.kind === 'bytes') applyPiece(pages, unit.op, unit.start, unit.end)
    },
  }
}

/** A random legal choice. `reached` hears by name what happened, for the counters of a test campaign. */
export function randomSurvivors(
  disk: SimDisk,
  random: Random,
  profile: Exclude<CrashProfile, 'none'>,
  reached: (what: string) => void,
): Survivors {
  // Most crashes keep some; all and nothing are as likely as anything else.
  const chance = (): number => [0, 1, 0.5, random.fraction()][Math.floor(random.fraction() * 4)] ?? 0.5
  const nameChance = chance()
  const byteChance = chance()
  const lastName = journalCut(disk, random)
  return {
    keepsName: (op) => {
      const keep = profile === 'posix' ? random.fraction() < nameChance : op.sequence <= lastName
      reached(keep ? 'crash: unsynced name kept' : 'crash: unsynced name lost')
      return keep
    },
    keepBytes: (file, pages) => {
      for (const op of file.dirty) {
        const odds = op.kind === 'truncate' && profile === 'xfs' ? byteChance / 4 : byteChance
        keepSome(pages, op, random, odds, reached)
      }
    },
  }
}

/** The sequence number of the last change of names that a journaling disk keeps. */
function journalCut(disk: SimDisk, random: Random): number {
  const open = disk.nameOps.filter((op) => op.sequence > disk.journaledUpTo)
  const count = Math.floor(random.fraction() * (open.length + 1))
  return count === 0 ? disk.journaledUpTo : (open[count - 1]?.sequence ?? disk.journaledUpTo)
}

function keepSome(pages: Pages, op: FileOp, random: Random, odds: number, reached: (what: string) => void): void {
  if (random.fraction() < odds) {
    applyOp(pages, op)
    reached('crash: unsynced bytes kept')
    return
  }
  reached(op.kind === 'truncate' ? 'crash: truncation lost' : 'crash: unsynced bytes lost')
  if (op.kind === 'truncate' || random.fraction() < 0.4) return
  const pieces = piecesOf(op, random.fraction() < 0.5 ? GRAIN_BYTES.sector : GRAIN_BYTES.page)
  const asPrefix = random.fraction() < 0.5 ? Math.floor(random.fraction() * pieces.length) : undefined
  pieces.forEach(([start, end], index) => {
    if (asPrefix === undefined ? random.fraction() < 0.5 : index < asPrefix) applyPiece(pages, op, start, end)
  })
  if (pieces.length > 1) reached('crash: torn write')
  if (random.fraction() < 0.3 && op.position + op.length > pages.size) {
    pages.resize(op.position + op.length)
    reached('crash: zeros instead of bytes')
  }
}

/** [start, end) within the write, cut where the file's positions are multiples of the grain. */
function piecesOf(op: FileOp, grainBytes: number): [number, number][] {
  if (op.kind === 'truncate' || grainBytes === Infinity) return [[0, op.kind === 'write' ? op.length : 0]]
  const pieces: [number, number][] = []
  for (let start = 0; start < op.length;) {
    const end = Math.min(op.length, start + grainBytes - ((op.position + start) % grainBytes))
    pieces.push([start, end])
    start = end
  }
  return pieces
}

function applyPiece(pages: Pages, op: FileOp, start: number, end: number): void {
  if (op.kind === 'truncate') pages.resize(op.size)
  else pages.write(op.bytes, op.position, start, end)
}

function keptNames(disk: SimDisk, survivors: Survivors): NameOp[] {
  const dirty = new Set(disk.nameOps)
  const kept = new Set<NameOp>()
  for (const op of disk.nameOps) {
    const waits = op.after !== undefined && dirty.has(op.after) && !kept.has(op.after)
    // A directory has one name: when it has got the new one, the old one is gone.
    const isMoved = op.after !== undefined && op.node.kind === 'directory'
    if ((survivors.keepsName(op) || isMoved) && !waits) kept.add(op)
  }
  return [...kept]
}

function survivingFile(file: SimFileNode, survivors: Survivors): SimFileNode {
  const copy = new SimFileNode(file.number)
  const pages = file.durable.clone()
  survivors.keepBytes(file, pages)
  copy.durable = pages
  copy.cached = pages.clone()
  copy.modified = file.modified
  return copy
}

function sameFile(file: SimFileNode): SimFileNode {
  const copy = new SimFileNode(file.number)
  copy.cached = file.cached.clone()
  copy.durable = file.durable.clone()
  copy.dirty = file.dirty.slice()
  copy.links = file.links
  copy.created = file.created
  copy.modified = file.modified
  copy.failures = file.failures
  copy.failure = file.failure
  return copy
}

function copyNameOps(ops: readonly NameOp[], copyOf: (node: SimNode) => SimNode): NameOp[] {
  const copies = new Map<NameOp, NameOp>()
  for (const op of ops) {
    const directory = copyOf(op.directory)
    const after = op.after === undefined ? undefined : (copies.get(op.after) ?? op.after)
    if (directory.kind === 'directory') copies.set(op, { ...op, directory, node: copyOf(op.node), after })
  }
  return [...copies.values()]
}

function emptyCopy(disk: SimDisk, boot: number): SimDisk {
  const copy = new SimDisk()
  copy.capacityBytes = disk.capacityBytes
  copy.sequence = disk.sequence
  copy.nodes = disk.nodes
  copy.boot = boot
  return copy
}

/** Whatever has a name, had one that a crash may bring back, or may get one. */
function reachableNodes(disk: SimDisk): ReadonlySet<SimNode> {
  const reached = new Set<SimNode>()
  const visit = (node: SimNode): void => {
    if (reached.has(node)) return
    reached.add(node)
    if (node.kind === 'file') return
    for (const child of node.cached.values()) visit(child)
    for (const child of node.durable.values()) visit(child)
  }
  visit(disk.root)
  for (const op of disk.nameOps) visit(op.node)
  return reached
}
