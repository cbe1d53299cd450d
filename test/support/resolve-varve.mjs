// Lets a program import `varve` and find the sources: node --import ./test/support/resolve-varve.mjs program.ts
import { registerHooks } from 'node:module'

const entries = { varve: 'src/varve.ts', 'varve/testing': 'src/testing.ts' }
const root = new URL('../../', import.meta.url)

registerHooks({
  resolve(specifier, context, next) {
    if (!Object.hasOwn(entries, specifier)) return next(specifier, context)
    return { url: new URL(entries[specifier], root).href, shortCircuit: true }
  },
})
