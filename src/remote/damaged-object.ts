/**
 * How damage in the bucket, and a segment that is not there, are told: object, position, what to do.
 */
import { VarveError } from '../base/errors.ts'
import type { ObjectStore } from '../base/object-store.ts'
import { objectPath } from './own-write.ts'

/** CORRUPT at `position` of an object; `null`: none in particular. */
export function damagedObject(
  store: ObjectStore,
  name: string,
  position: number | null,
  what: string,
): VarveError<'CORRUPT'> {
  const path = objectPath(store, name)
  const where = position === null ? '' : ` at byte ${position}`
  return new VarveError(
    'CORRUPT',
    `${path} is damaged${where}: ${what}. Nothing of that is served. Restore the object from a copy or an earlier ` +
      'version, if the bucket keeps them.',
    { path, position },
  )
}
