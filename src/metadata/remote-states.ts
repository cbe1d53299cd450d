/**
 * What may happen to an object of the remote log metadata.
 *
 * Owns     the table: for each state that an attempt may be in and each that a record may bring, one row. Kafka's
 *          states, with two differences. A bucket's own log has no copies that only began, so one may be finished that
 *          nobody heard of. And what is deleted is forgotten, so hearing it again says nothing.
 */
import type { RemoteState } from './remote-record.ts'

/** What is known of an attempt; one whose object is deleted is not known any more. */
export type KnownState = 'unknown' | Exclude<RemoteState, 'delete-finished'>

/** What a record does. `repeat`: nothing, it was said before. */
export type RemoteStep = 'begin' | 'commit' | 'abandon' | 'withdraw' | 'forget' | 'repeat' | 'illegal'

export interface RemoteTransition {
  readonly from: readonly KnownState[]
  readonly to: readonly RemoteState[]
  readonly step: RemoteStep
}

export const REMOTE_TRANSITIONS: readonly RemoteTransition[] = [
  { from: ['unknown'], to: ['copy-started'], step: 'begin' },
  { from: ['unknown', 'copy-started'], to: ['copy-finished'], step: 'commit' },
  { from: ['copy-started'], to: ['delete-started'], step: 'abandon' },
  { from: ['copy-finished'], to: ['delete-started'], step: 'withdraw' },
  { from: ['delete-started'], to: ['delete-finished'], step: 'forget' },

  { from: ['copy-started'], to: ['copy-started'], step: 'repeat' },
  { from: ['copy-finished'], to: ['copy-finished'], step: 'repeat' },
  { from: ['delete-started'], to: ['delete-started'], step: 'repeat' },
  { from: ['unknown'], to: ['delete-finished'], step: 'repeat' },

  { from: ['unknown'], to: ['delete-started'], step: 'illegal' },
  { from: ['copy-finished', 'delete-started'], to: ['copy-started'], step: 'illegal' },
  { from: ['delete-started'], to: ['copy-finished'], step: 'illegal' },
  { from: ['copy-started', 'copy-finished'], to: ['delete-finished'], step: 'illegal' },
]

/** What a record that brings `to` does to an attempt that is in `from`. */
export function remoteStep(from: KnownState, to: RemoteState): RemoteStep {
  return REMOTE_TRANSITIONS.find((row) => row.from.includes(from) && row.to.includes(to))?.step ?? 'illegal'
}
