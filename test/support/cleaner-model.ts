/**
 * The rules of cleaning, written down as plainly as can be: whole logs at once, the truth about transactions known, no
 * state carried along, nothing encoded.
 */

export interface ModelRecord {
  readonly offset: number
  readonly timestamp: number
  readonly key: string | null
  readonly value: string | null
  readonly headers: readonly (readonly [string, Uint8Array | null])[]
}

/** A transaction, and how it ended in truth; open until then. */
export interface ModelTransaction {
  readonly producerId: number
  readonly firstOffset: number
  outcome: 'open' | 'committed' | 'aborted'
}

export interface ModelBatch {
  readonly baseOffset: number
  readonly lastOffset: number
  readonly leaderEpoch: number
  readonly codec: number
  readonly appendTime: boolean
  readonly producerId: number
  readonly producerEpoch: number
  readonly baseSequence: number
  readonly isControl: boolean
  readonly isTransactional: boolean
  readonly horizonMs: number | null
  readonly maxTimestamp: number
  readonly records: readonly ModelRecord[]
  readonly transaction: ModelTransaction | null
  /** What it looks like in the log, while it was never changed. */
  readonly bytes: Uint8Array | null
}

/** What a round goes by. */
export interface ModelRound {
  readonly upTo: number
  /** Newest offset per key as the evidence has it, and up to where more than `upTo` is proof. */
  readonly newest: ReadonlyMap<string, number>
  readonly provesTo: number
  readonly endOffset: number
  readonly producers: ReadonlyMap<number, { readonly epoch: number; readonly lastOffset: number }>
  readonly newHorizonMs: number
  readonly horizonsOverMs: number
}

/** The newest committed record of every key in what was ever written below `end`. */
export function newestBelow(history: readonly ModelBatch[], end: number): Map<string, number> {
  const newest = new Map<string, number>()
  for (const batch of history) {
    if (batch.isControl || (batch.transaction !== null && batch.transaction.outcome !== 'committed')) continue
    for (const { key, offset } of batch.records) if (key !== null && offset < end) newest.set(key, offset)
  }
  return newest
}

/** What is left of `batches`, all of which lie below the round's end. */
export function cleanModel(batches: readonly ModelBatch[], round: ModelRound): ModelBatch[] {
  return batches.flatMap((batch) => {
    const records = batch.isControl ? markerLeft(batch, batches, round) : recordsLeft(batch, round)
    if (records.length === 0) return headerLeft(batch, round)
    const horizonMs = horizonOf(batch, records, batches, round)
    const isSame = records.length === batch.records.length && horizonMs === batch.horizonMs
    if (isSame) return [batch]
    const newest = Math.max(...records.map((record) => record.timestamp))
    const maxTimestamp = batch.appendTime ? batch.maxTimestamp : newest
    return [{ ...batch, records, horizonMs, maxTimestamp, bytes: null }]
  })
}

function markerLeft(batch: ModelBatch, all: readonly ModelBatch[], round: ModelRound): readonly ModelRecord[] {
  if (isObserved(batch, all) || batch.horizonMs === null || batch.horizonMs > round.horizonsOverMs) return batch.records
  return []
}

/** Whether there is still a batch of the transaction that `marker` ends. */
export function isObserved(marker: ModelBatch, all: readonly ModelBatch[]): boolean {
  return all.some((batch) => !batch.isControl && batch.transaction === marker.transaction)
}

function recordsLeft(batch: ModelBatch, round: ModelRound): ModelRecord[] {
  if (batch.transaction?.outcome === 'aborted') return []
  return batch.records.filter((record) => {
    if (record.offset >= round.upTo) return true
    if (record.key === null) return false
    const newest = round.newest.get(record.key) ?? -1
    const isProof = newest < round.upTo || newest < round.provesTo
    if (isProof && newest > record.offset) return false
    const isOver = batch.horizonMs !== null && batch.horizonMs <= round.horizonsOverMs
    return record.value !== null || !isOver || !isProof
  })
}

function horizonOf(
  batch: ModelBatch,
  records: readonly ModelRecord[],
  all: readonly ModelBatch[],
  round: ModelRound,
): number | null {
  if (batch.horizonMs !== null) return batch.horizonMs
  const mustGo = batch.isControl
    ? !isObserved(batch, all)
    : batch.lastOffset < round.upTo && records.some((record) => record.value === null)
  return mustGo ? round.newHorizonMs : null
}

function headerLeft(batch: ModelBatch, round: ModelRound): ModelBatch[] {
  const last = round.producers.get(batch.producerId)
  const isLastOfProducer =
    last !== undefined &&
    (last.lastOffset === -1
      ? batch.isControl && batch.producerEpoch === last.epoch
      : batch.lastOffset === last.lastOffset)
  if (!isLastOfProducer && batch.lastOffset + 1 !== round.endOffset) return []
  if (batch.records.length === 0) return [batch]
  return [{ ...batch, records: [], horizonMs: null, codec: 0, bytes: null }]
}
