/** Seeds of the simulation that failed once, each with what it found. They run every time. */
export const RECORDED_SEEDS: ReadonlyMap<number, string> = new Map([
  [3, 'a log start inside a segment made a close record that no open believed'],
  [12, 'a group between two limits went neither into an entry nor direct'],
  [13, 'the first indexed append after a clean open found no index'],
  [57, 'a clean close left bytes that only the journal held durably'],
  [66, 'a failed sync of the ring stopped the journal, and the store did not hear of it'],
  [149, 'a topic was deleted while its segment was being synced'],
  [170, 'a flush waited for ever for a journal that had failed'],
  [206, 'a full segment that was not sealed at the close made a close record that no open believed'],
  [246, 'a file of the ring was closed twice'],
])
