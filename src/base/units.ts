/**
 * Time spans and sizes as users write them.
 *
 * Owns     the accepted forms of a Duration and a Size and what they come to in milliseconds and bytes.
 * Holds    The answer is always a safe integer within the range asked for. A fraction is accepted only where it comes
 *          to a whole millisecond or byte: `'1.5h'`, not `'0.5ms'`. Nothing is rounded.
 */
import { VarveError } from './errors.ts'

/** A time span: a whole number of milliseconds, or text such as `'500ms'`, `'30s'`, `'5m'`, `'6h'`, `'7d'`. */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`

/** A size: a whole number of bytes, or text such as `'512B'`, `'64KiB'`, `'64MiB'`, `'20GiB'`, `'1TiB'`. */
export type Size = number | `${number}${'B' | 'KiB' | 'MiB' | 'GiB' | 'TiB'}`

type Units = ReadonlyMap<string, number>

const DURATION_UNITS: Units = new Map([
  ['ms', 1],
  ['s', 1_000],
  ['m', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
])
const DURATION_FORMS = "a whole number of milliseconds or text such as '500ms', '30s', '5m', '6h' or '7d'"

const SIZE_UNITS: Units = new Map([
  ['B', 1],
  ['KiB', 2 ** 10],
  ['MiB', 2 ** 20],
  ['GiB', 2 ** 30],
  ['TiB', 2 ** 40],
])
const SIZE_FORMS = "a whole number of bytes or text such as '512B', '64KiB', '64MiB', '20GiB' or '1TiB'"

const QUANTITY = /^(-?\d{1,16})(?:\.(\d{1,16}))?([A-Za-z]{1,3})$/

/** Milliseconds of a time span from `least` to `most`. Throws INVALID_OPTION, which names `option`. */
export function parseDuration(
  value: Duration,
  option: string,
  least = 0,
  most: number = Number.MAX_SAFE_INTEGER,
): number {
  return inRange(value, quantity(value, DURATION_UNITS), option, least, most, DURATION_FORMS)
}

/** Bytes of a size from `least` to `most`. Throws INVALID_OPTION, which names `option`. */
export function parseSize(value: Size, option: string, least = 0, most: number = Number.MAX_SAFE_INTEGER): number {
  return inRange(value, quantity(value, SIZE_UNITS), option, least, most, SIZE_FORMS)
}

/** A whole number from `least` to `most`. Throws INVALID_OPTION, which names `option`. */
export function parseInteger(value: number, option: string, least = 0, most: number = Number.MAX_SAFE_INTEGER): number {
  return inRange(value, value, option, least, most, 'a whole number')
}

function inRange(given: unknown, parsed: unknown, option: string, least: number, most: number, forms: string): number {
  if (typeof parsed === 'number' && Number.isSafeInteger(parsed) && parsed >= least && parsed <= most) return parsed
  const range = most === Number.MAX_SAFE_INTEGER ? `at least ${least}` : `from ${least} to ${most}`
  throw new VarveError('INVALID_OPTION', `${option} must be ${forms}, ${range}; got ${shown(given)}.`, {
    option,
    value: given,
  })
}

function quantity(value: unknown, units: Units): unknown {
  return typeof value === 'string' ? parseText(value, units) : value
}

function parseText(text: string, units: Units): number | undefined {
  const match = QUANTITY.exec(text)
  const unit = units.get(match?.[3] ?? '')
  if (match === null || unit === undefined) return undefined
  // The digits behind the point are counted apart: 1.1 * 1_000 is not exact in binary, 1_000 * 1 / 10 is.
  const fraction = match[2] ?? ''
  const part = (unit * Number(fraction)) / 10 ** fraction.length
  const whole = Math.abs(Number(match[1])) * unit + part
  return text.startsWith('-') ? -whole : whole
}

/** A refused value as an error message shows it: short, and never the inside of an object. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return `'${value.length > 60 ? `${value.slice(0, 60)}…` : value}'`
  if (value === null || typeof value === 'number' || typeof value === 'boolean' || value === undefined) {
    return String(value)
  }
  return typeof value === 'object' ? (Array.isArray(value) ? 'a list' : 'an object') : `a ${typeof value}`
}
