/**
 * Headers as users give and read them.
 *
 * Owns     the two forms in which headers are given, the reserved names, and the look-up of one header.
 * Holds    Headers that pass can be stored: names and text are well-formed, values are bytes or null. Order is kept.
 */
import { isUint8Array } from 'node:util/types'
import type { Bytes, NewHeaders, RecordHeaders } from './api-records.ts'
import type { Codec } from './codec-face.ts'
import { CodecRefusal, copyBytes } from './codec-face.ts'
import { shown } from './units.ts'

/** Headers as pairs, checked. */
export type HeaderPairs = readonly (readonly [name: string, value: string | Uint8Array | null])[]

/** Names that start with this carry facts of ours; only the store writes them. */
export const RESERVED_PREFIX = 'varve.'

const NONE: HeaderPairs = Object.freeze([])

/** The pairs of headers as given; throws CodecRefusal, which becomes INVALID_RECORD. */
export function checkedHeaders(given: NewHeaders | undefined): HeaderPairs {
  if (given === undefined) return NONE
  if (typeof given !== 'object' || given === null)
    throw new CodecRefusal(`headers are pairs or an object, not ${shown(given)}`)
  if (!Array.isArray(given) && Object.prototype.toString.call(given) !== '[object Object]')
    throw new CodecRefusal(`headers are pairs or a plain object, not ${shown(given)}`)
  const pairs = Array.isArray(given) ? (given as HeaderPairs) : Object.entries(given)
  for (const pair of pairs) checkPair(pair)
  return pairs
}

function checkPair(pair: HeaderPairs[number]): void {
  if (!Array.isArray(pair) || pair.length !== 2) throw new CodecRefusal('a header is a pair of a name and a value')
  const [name, value] = pair as HeaderPairs[number]
  if (typeof name !== 'string' || !name.isWellFormed()) {
    throw new CodecRefusal('the name of a header is text without a lone surrogate')
  }
  if (name.startsWith(RESERVED_PREFIX)) {
    throw new CodecRefusal(
      `the header ${shown(name)} is reserved: names that start with '${RESERVED_PREFIX}' are the store's own`,
    )
  }
  const storable = value === null || (typeof value === 'string' ? value.isWellFormed() : isUint8Array(value))
  if (!storable) throw new CodecRefusal(`the header ${shown(name)} must be well-formed text, a Uint8Array or null`)
}

/** The last header of that name; undefined when there is none, null when its value is null. */
export function header(record: { readonly headers: RecordHeaders }, name: string): Bytes | null | undefined
/**
 * The last header of that name, decoded, for example with `utf8()`; undefined when there is none, null when its value
 * is null. Throws what the codec throws.
 */
export function header<T>(
  record: { readonly headers: RecordHeaders },
  name: string,
  codec: Pick<Codec<T, never>, 'decode'>,
): T | null | undefined
export function header<T>(
  record: { readonly headers: RecordHeaders },
  name: string,
  codec?: Pick<Codec<T, never>, 'decode'>,
): Bytes | T | null | undefined {
  const value = record.headers.findLast(([other]) => other === name)?.[1]
  if (value === undefined || value === null || codec === undefined) return value
  return codec.decode(copyBytes(value, 0, value.length))
}
