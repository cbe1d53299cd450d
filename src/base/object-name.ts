/**
 * Names of objects.
 *
 * Owns     which names every bucket takes, and the comparison that every bucket uses: by the bytes of UTF-8.
 */
import { ObjectStoreError } from './object-store.ts'

/** S3 and GCS take no longer ones, the prefix included. */
const NAME_BYTES = 1024

/** Negative, zero or positive, by the UTF-8 bytes of the names. */
export function compareNames(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let index = 0; index < length; index++) {
    const left = a.charCodeAt(index)
    const right = b.charCodeAt(index)
    if (left !== right) return codePointRank(left) - codePointRank(right)
  }
  return a.length - b.length
}

/** In UTF-16 surrogates stand below U+E000, in UTF-8 what they make stands above everything else. */
function codePointRank(unit: number): number {
  if (unit < 0xd800) return unit
  return unit >= 0xe000 ? unit - 0x800 : unit + 0x2000
}

/** Throws `refused` for a name that some store would not take; `name` with its prefix. */
export function checkObjectName(name: string, place: string): void {
  const fault = faultOf(name)
  if (fault === undefined) return
  throw new ObjectStoreError('refused', `${place} takes no object with a name that ${fault}.`, 'definite')
}

function faultOf(name: string): string | undefined {
  if (!name.isWellFormed()) return 'is not well-formed text'
  if (name.length > NAME_BYTES || Buffer.byteLength(name) > NAME_BYTES) return `is longer than ${NAME_BYTES} bytes`
  // Clients resolve these as in a path, and some servers refuse them.
  if (name.split('/').some((part) => ['', '.', '..'].includes(part))) return "has an empty part, '.' or '..'"
  return undefined
}
