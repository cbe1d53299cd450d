/**
 * Settling the names in a partition's folder that Kafka left, by Kafka's own load rules.
 *
 * Owns     the order:
 *
 *   1  `.deleted` files go, `.cleaned` ones, and replacements that are not official yet
 *   2  an official replacement (`.swap`): what it replaces goes, the directory is synced, then it gets its name
 *   3  index files and sidecars go: they are made anew from the batches. Transaction indexes stay beside their data
 *      file until that is judged (`adopt.ts`): where a batch is damaged, they may say what it said
 *
 * Holds    A replacement is official by the table in `strays.ts`, which decides as Kafka does. No `.log` file is
 *          changed. Producer snapshots stay, but for those inside a replaced range.
 * Crash    every step may be repeated: a replacement is official until it has its name.
 */
import { VarveError } from '../base/errors.ts'
import type { FileSystem } from '../base/file-system.ts'
import { walkFileSync } from '../segment/file-walk.ts'
import { joinPath, parseSegmentFileName, segmentFile, segmentFileName } from '../segment/segment-files.ts'
import type { SegmentFileKind } from '../segment/segment-files.ts'
import { decideStray, needsSwapScan, strayInput, surveySegments } from '../segment/strays.ts'
import type { FoundBase, StrayAction } from '../segment/strays.ts'

/** What is made anew from the batches. */
const DERIVED: ReadonlySet<SegmentFileKind> = new Set(['index', 'timeindex', 'varve'])

interface Decided {
  readonly base: FoundBase
  readonly action: StrayAction
  /** The offset behind a replacement. */
  readonly nextOffset: number
}

/** Throws CORRUPT for a replacement that is damaged: what it replaces may be gone. Touches nothing. */
export function checkNames(fileSystem: FileSystem, directory: string): void {
  for (const { base, action } of decide(fileSystem, directory)) {
    if (action !== 'damaged-swap') continue
    const path = segmentFile(directory, base.baseOffset, 'log', 'swap')
    const message =
      `${path} was about to replace segments and is damaged; they may be gone already. Nothing was changed. ` +
      'Restore the folder from a copy or from another broker.'
    throw new VarveError('CORRUPT', message, { path, position: null })
  }
}

/** Leaves data files, snapshots and what is not Kafka's; durable when it resolves. */
export async function settleNames(fileSystem: FileSystem, directory: string): Promise<void> {
  for (const name of surveySegments(namesIn(fileSystem, directory)).leftovers) {
    fileSystem.unlinkSync(joinPath(directory, name))
  }
  const decided = decide(fileSystem, directory)
  for (const { base, action } of decided) {
    if (action !== 'finish-swap') dropCopies(fileSystem, directory, base)
  }
  for (const swap of decided) if (swap.action === 'finish-swap') await finishSwap(fileSystem, directory, swap)
  dropDerived(fileSystem, directory)
  await fileSystem.syncDirectory(directory)
}

function decide(fileSystem: FileSystem, directory: string): Decided[] {
  return surveySegments(namesIn(fileSystem, directory)).bases.map((base) => {
    const swap = needsSwapScan(base) ? scanSwap(fileSystem, directory, base.baseOffset) : undefined
    const action = decideStray(strayInput(base, swap?.isWhole ?? false, false))
    return { base, action, nextOffset: swap?.nextOffset ?? base.baseOffset }
  })
}

function scanSwap(
  fileSystem: FileSystem,
  directory: string,
  base: number,
): { readonly isWhole: boolean; readonly nextOffset: number } {
  const file = fileSystem.openSync(segmentFile(directory, base, 'log', 'swap'), 'read')
  let nextOffset = base
  try {
    const walk = { from: 0, to: file.sizeSync(), minOffset: base, verify: true }
    const end = walkFileSync(file, walk, (batch) => {
      nextOffset = batch.lastOffset + 1
      return true
    })
    return { isWhole: end.end === 'clean-end', nextOffset }
  } finally {
    file.closeSync()
  }
}

function dropCopies(fileSystem: FileSystem, directory: string, base: FoundBase): void {
  for (const file of base.files) {
    if (file.state !== 'final') fileSystem.unlinkSync(joinPath(directory, file.name))
  }
}

async function finishSwap(fileSystem: FileSystem, directory: string, { base, nextOffset }: Decided): Promise<void> {
  for (const name of namesIn(fileSystem, directory)) {
    const file = parseSegmentFileName(name)
    if (file?.state !== 'final') continue
    const isReplaced = file.baseOffset >= base.baseOffset && file.baseOffset < nextOffset
    if (isReplaced) fileSystem.unlinkSync(joinPath(directory, name))
  }
  await fileSystem.syncDirectory(directory)
  const { baseOffset, files } = base
  // An empty replacement replaces the segment at its own place.
  fileSystem.renameSync(segmentFile(directory, baseOffset, 'log', 'swap'), segmentFile(directory, baseOffset, 'log'))
  for (const { name, kind, state } of files) {
    if (state !== 'final' && !(kind === 'log' && state === 'swap')) fileSystem.unlinkSync(joinPath(directory, name))
  }
}

function dropDerived(fileSystem: FileSystem, directory: string): void {
  const names = namesIn(fileSystem, directory)
  for (const name of names) {
    const file = parseSegmentFileName(name)
    if (file?.state !== 'final') continue
    const isOrphan = file.kind === 'txnindex' && !names.includes(segmentFileName(file.baseOffset, 'log'))
    if (isOrphan || DERIVED.has(file.kind)) fileSystem.unlinkSync(joinPath(directory, name))
  }
}

function namesIn(fileSystem: FileSystem, directory: string): string[] {
  return fileSystem.listSync(directory).map((entry) => entry.name)
}
