/**
 * Packages that Varve can do without, loaded when the first batch or topic needs one.
 *
 * Owns     the door to Node's module loader. A package is looked for from this file, so it is found beside Varve.
 * Holds    It answers at once, as reading and writing a batch does. What was loaded stays loaded; what was missing is
 *          looked for again.
 */
import { createRequire } from 'node:module'
import { VarveError } from './errors.ts'

const load = createRequire(import.meta.url)

/** The package `name`. Throws UNSUPPORTED: it says that `what` needs the package, and how to install it. */
export function optionalPackage(name: string, what: string): unknown {
  try {
    return load(name)
  } catch (error) {
    throw new VarveError(
      'UNSUPPORTED',
      `${what} needs the package ${name}, which cannot be loaded: npm install ${name}.`,
      { package: name },
      { cause: error },
    )
  }
}
