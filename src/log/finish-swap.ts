/**
 * Going on with a swap that a crash has interrupted, at open.
 *
 *   1  files that are no replacement yet go (`.cleaned`, and `.swap` without a data file)
 *   2  an official replacement: the old files in its range go, the new ones get their final names, all but the data
 *      file; sync of the directory
 *   3  the data file gets its name; sync
 *
 * Owns     the steps; `segment/strays.ts` decides by names which base offsets they are for.
 * Holds    Every file of a replacement was durable before it got a `.swap` name, and the data file gets its own last:
 *          so the sidecar that belongs to it is here, called `.swap` or by its final name. Which one tells its length.
 *          If none does, nobody knows how far the replacement reaches: CORRUPT, and nothing is changed.
 * Crash    each step may be repeated.
 */
import { VarveError } from '../base/errors.ts'
import type { FileSystem } from '../base/file-system.ts'
import { readFileSync } from '../base/read-file.ts'
import { walkFileSync } from '../segment/file-walk.ts'
import { joinPath, parseSegmentFileName, segmentFile } from '../segment/segment-files.ts'
import type { FileState, SegmentFileKind } from '../segment/segment-files.ts'
import { readSidecarFile } from '../segment/sidecar-file.ts'
import type { Sidecar } from '../segment/sidecar.ts'
import { decideStray, needsSwapScan, strayInput } from '../segment/strays.ts'
import type { FoundBase, SegmentSurvey } from '../segment/strays.ts'

const MAX_INDEX = 1024 * 1024 * 1024

/** Leaves final names only. What was dropped need not be gone for good: the next open drops it again. */
export async function settleSwaps(fileSystem: FileSystem, directory: string, survey: SegmentSurvey): Promise<void> {
  const decided = survey.bases.map((base) => {
    const sidecar = needsSwapScan(base) ? findSidecar(fileSystem, directory, base.baseOffset) : undefined
    return { base, sidecar, action: decideStray(strayInput(base, sidecar !== undefined, false)) }
  })
  const damaged = decided.find(({ action }) => action === 'damaged-swap')
  if (damaged !== undefined) throw damagedSwap(directory, damaged.base)
  for (const { base, action } of decided) {
    if (action !== 'drop-copies' && action !== 'drop-orphans') continue
    drop(fileSystem, directory, base, action === 'drop-orphans')
  }
  for (const { base, sidecar, action } of decided) {
    if (action === 'finish-swap') await finish(fileSystem, directory, base, sidecar!)
  }
}

/** The sidecar of a replacement whose data file is whole. */
function findSidecar(fileSystem: FileSystem, directory: string, baseOffset: number): Sidecar | undefined {
  const length = wholeLength(fileSystem, segmentFile(directory, baseOffset, 'log', 'swap'), baseOffset)
  const copy = segmentFile(directory, baseOffset, 'varve', 'swap')
  const isCopy = fileSystem.statSync(copy) !== undefined
  const sidecar = readSidecarFile(fileSystem, isCopy ? copy : segmentFile(directory, baseOffset, 'varve'))
  if (sidecar === undefined || sidecar === 'damaged') return undefined
  const { summary } = sidecar
  return summary.baseOffset === baseOffset && summary.logLength === length ? sidecar : undefined
}

/** Length of a data file; -1 when it is damaged. */
function wholeLength(fileSystem: FileSystem, path: string, baseOffset: number): number {
  const file = fileSystem.openSync(path, 'read')
  try {
    const size = file.sizeSync()
    const walk = { from: 0, to: size, minOffset: baseOffset, verify: true }
    return walkFileSync(file, walk, () => true).end === 'clean-end' ? size : -1
  } finally {
    file.closeSync()
  }
}

/** `whole`: of a segment without a data file nothing stays. */
function drop(fileSystem: FileSystem, directory: string, { files }: FoundBase, whole: boolean): void {
  for (const { name, state } of files) if (whole || state !== 'final') fileSystem.unlinkSync(joinPath(directory, name))
}

async function finish(fileSystem: FileSystem, directory: string, base: FoundBase, sidecar: Sidecar): Promise<void> {
  const { baseOffset } = base
  const { nextOffset } = sidecar.summary
  const pathOf = (kind: SegmentFileKind, state: FileState): string => segmentFile(directory, baseOffset, kind, state)
  for (const { name } of fileSystem.listSync(directory)) {
    const file = parseSegmentFileName(name)
    if (file?.state !== 'final' || file.baseOffset < baseOffset || file.baseOffset >= nextOffset) continue
    if (file.baseOffset !== baseOffset || file.kind === 'log') fileSystem.unlinkSync(joinPath(directory, name))
  }
  for (const kind of ['varve', 'index', 'timeindex', 'txnindex'] as const) {
    if (base.files.some((file) => file.kind === kind && file.state === 'swap'))
      fileSystem.renameSync(pathOf(kind, 'swap'), pathOf(kind, 'final'))
    else if (kind !== 'varve') dropOther(fileSystem, pathOf(kind, 'final'), kind, sidecar)
  }
  await fileSystem.syncDirectory(directory)
  fileSystem.renameSync(pathOf('log', 'swap'), pathOf('log', 'final'))
  await fileSystem.syncDirectory(directory)
}

/** An index file that is not the one that the sidecar names is that of the old segment. */
function dropOther(
  fileSystem: FileSystem,
  path: string,
  kind: 'index' | 'timeindex' | 'txnindex',
  sidecar: Sidecar,
): void {
  const bytes = readFileSync(fileSystem, path, MAX_INDEX)
  if (bytes !== undefined && !sidecar.matchesIndexFile(kind, bytes)) fileSystem.unlinkSync(path)
}

function damagedSwap(directory: string, { baseOffset }: FoundBase): VarveError<'CORRUPT'> {
  const path = segmentFile(directory, baseOffset, 'log', 'swap')
  const message =
    `${path} was about to take the place of segments that were cleaned, and it or its sidecar is damaged; the old ` +
    'files may be gone already. Nothing was changed. Restore the folder from a copy.'
  return new VarveError('CORRUPT', message, { path, position: null })
}
