/**
 * Dump of a sidecar, `<base>.varve`.
 */
import { Sidecar } from '../segment/sidecar.ts'
import type { Dump, Row } from './dump-output.ts'

export async function dumpSidecar(dump: Dump): Promise<void> {
  const bytes = dump.whole()
  const sidecar = Sidecar.decode(bytes, dump.path)
  if (sidecar === undefined) return dump.fault('not a whole sidecar: a checksum, a length or a count in it is wrong')
  const { summary } = sidecar
  await dump.row('sidecar', { ...summary, logHash: hash(summary.logHash), blocks: sidecar.blockCount } satisfies Row)
  for (const [epoch, startOffset] of sidecar.epochs) await dump.row('leaderEpoch', { epoch, startOffset })
  for (const aborted of sidecar.aborted.entries) await dump.row('aborted', { ...aborted })
  for (const file of sidecar.indexFiles) {
    await dump.row('indexFile', { kind: file.kind, length: file.length, hash: hash(file.hash) })
  }
  const state = sidecar.producerState
  if (state !== undefined) await dump.row('producerState', { bytes: state.byteLength })
}

function hash(value: bigint): string {
  return value.toString(16).padStart(16, '0')
}
