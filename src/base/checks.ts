/**
 * Checks on options that more than one place needs.
 *
 * Holds    Each throws INVALID_OPTION, which names the option and the accepted forms, and answers the checked value.
 */
import { VarveError } from './errors.ts'
import { refuseUnknownKeys } from './nearest.ts'
import { shown } from './units.ts'

/** One of a few words. */
export function oneOf<const T extends string>(value: unknown, words: readonly T[], option: string): T {
  const found = words.find((word) => word === value)
  if (found === undefined) throw invalidOption(option, value, words.map((word) => `'${word}'`).join(' or '))
  return found
}

/** True or false. */
export function flag(value: unknown, option: string): boolean {
  if (typeof value !== 'boolean') throw invalidOption(option, value, 'true or false')
  return value
}

/** An object whose keys are all among `names`; undefined counts as one without keys. */
export function optionsObject<T extends object>(
  value: T | undefined,
  names: readonly (keyof T & string)[],
  option: string,
): T {
  if (value === undefined) return {} as T
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalidOption(option === '' ? 'options' : option, value, 'an object')
  }
  refuseUnknownKeys(value, names, option)
  return value
}

/** A signal, or none. One of another realm is as good, so it is known by what it can do. */
export function signalOf(value: AbortSignal | undefined): AbortSignal | undefined {
  if (value === undefined) return undefined
  const signal = (typeof value === 'object' ? value : null) as Partial<AbortSignal> | null
  if (typeof signal?.aborted === 'boolean' && typeof signal.addEventListener === 'function') return value
  throw invalidOption('signal', value, 'an AbortSignal')
}

/** The error for a value that is not what `forms` says. */
export function invalidOption(option: string, value: unknown, forms: string): VarveError<'INVALID_OPTION'> {
  return new VarveError('INVALID_OPTION', `${option} must be ${forms}; got ${shown(value)}.`, { option, value })
}
