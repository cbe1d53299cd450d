/**
 * A store at one moment, held still while it is copied.
 *
 * Owns     what a copy needs to know of each log at the moment of the capture, and the checks of where it goes.
 * Holds    While logs are held no segment leaves or is sealed; appends go on. The ends of all are taken in one turn.
 */
import { VarveError } from './base/errors.ts'
import type { FileSystem } from './base/file-system.ts'
import type { PartitionLog } from './log/log.ts'
import type { Catalog } from './metadata/catalog.ts'
import { parentPath } from './segment/segment-files.ts'
import type { StorePaths } from './segment/segment-files.ts'
import { emptyFacts } from './segment/segment.ts'
import type { Segment, SegmentFacts } from './segment/segment.ts'
import type { Engine } from './store-engine.ts'

const NOTHING = new Uint8Array(0)

/** A segment as it was at the moment of the capture. */
export interface CapturedSegment {
  /** Undefined: an empty one of a log that is just being made. */
  readonly segment: Segment | undefined
  readonly facts: SegmentFacts
  readonly isSealed: boolean
  /** Index files of one that is not sealed; undefined: its files are still those of the last close. */
  readonly indexes: { readonly offset: Uint8Array; readonly time: Uint8Array } | undefined
  /** Transaction index of one that is not sealed; empty: nothing was aborted in it. */
  readonly aborted: Uint8Array
  /** Producers at its end, of one that is full and not sealed. */
  readonly producers: Uint8Array | undefined
}

export interface CapturedLog {
  readonly id: number
  readonly topic: string
  readonly topicId: string
  readonly partition: number
  readonly logStart: number
  readonly localStart: number
  readonly logEnd: number
  readonly segments: readonly CapturedSegment[]
  /** Snapshot of the producers at the log end. */
  readonly producers: Uint8Array | undefined
}

export interface Capture {
  readonly catalog: Catalog
  readonly logs: readonly CapturedLog[]
  readonly stampMs: number
}

/** A copy inside the store would be a stranger in it. */
export function checkOutside(fileSystem: FileSystem, { root }: StorePaths, target: StorePaths): void {
  const identity = fileSystem.statSync(root)?.identity
  for (let path = target.root, above = ''; path !== above; path = parentPath(above)) {
    above = path
    if (identity === undefined || fileSystem.statSync(path)?.identity !== identity) continue
    const message = `${target.root} lies in the store that is copied. Nothing was written; give a directory outside.`
    throw new VarveError(
      'INVALID_OPTION',
      message,
      { option: 'directory', value: target.root },
      { outcome: 'definite' },
    )
  }
}

export function checkEmpty(fileSystem: FileSystem, { root }: StorePaths): void {
  const stat = fileSystem.statSync(root)
  if (stat === undefined || (stat.kind === 'directory' && fileSystem.listSync(root).length === 0)) return
  const message = `${root} is not an empty directory. Nothing was written; give a new one.`
  throw new VarveError('INVALID_OPTION', message, { option: 'directory', value: root }, { outcome: 'definite' })
}

/** Keeps all changes of structure away until it is released: no seal, no retention, no deletion of files. */
export function hold(logs: readonly PartitionLog[]): { readonly entered: Promise<unknown>; release(): void } {
  let open!: () => void
  const gate = new Promise<void>((resolve) => (open = resolve))
  const enter = (log: PartitionLog): Promise<void> =>
    new Promise((entered) => {
      void log.structure.run(() => {
        entered()
        return gate
      })
    })
  return { entered: Promise.all(logs.map(enter)), release: open }
}

/** The ends of all logs, in one turn. */
export function capture(engine: Engine, catalog: Catalog): Capture {
  const { committer } = engine
  if (committer.failure !== undefined) throw committer.failure
  const full = 'The segments have no room for what the journal holds: free space, then copy.'
  if (committer.isFull) throw new VarveError('DISK_FULL', full, { directory: engine.paths.log })
  for (const log of engine.logs.values()) log.applyPending()
  const logs = catalog.topics
    .filter((topic) => topic.state === 'live')
    .flatMap(({ name, topicId, logIds }) =>
      logIds.map((id, partition) => ({ id, topic: name, topicId, partition, ...captureLog(engine.logs.get(id)) })),
    )
  return { catalog, logs, stampMs: engine.time.stamp() }
}

type CapturedState = Pick<CapturedLog, 'logStart' | 'localStart' | 'logEnd' | 'segments' | 'producers'>

function captureLog(log: PartitionLog | undefined): CapturedState {
  if (log === undefined) {
    const indexes = { offset: new Uint8Array(0), time: new Uint8Array(0) }
    const rest = { isSealed: false, indexes, aborted: NOTHING, producers: undefined }
    const segments = [{ segment: undefined, facts: emptyFacts(0), ...rest }]
    return { logStart: 0, localStart: 0, logEnd: 0, segments, producers: undefined }
  }
  const { logStart, localStart, active, view, producers } = log
  const segments = view.segments.map(captureSegment)
  return { logStart, localStart, logEnd: active.nextOffset, segments, producers: producers.encode() }
}

function captureSegment(segment: Segment): CapturedSegment {
  const facts = { ...segment.facts, epochs: [...segment.facts.epochs] }
  const isSealed = segment.phase === 'sealed'
  const aborted = isSealed ? NOTHING : (segment.aborted?.encode() ?? NOTHING)
  const captured = { segment, facts, isSealed, aborted, producers: segment.producerState }
  if (isSealed || segment.offsets === undefined) return { ...captured, indexes: undefined }
  return { ...captured, indexes: { offset: segment.offsets.encode(), time: segment.times!.encode() } }
}
