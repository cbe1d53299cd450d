// Lets a program run as where no optional package is installed: node --import ./test/support/without-packages.mjs …
import { readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'

const { peerDependencies } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))

registerHooks({
  resolve(specifier, context, next) {
    if (!Object.hasOwn(peerDependencies, specifier)) return next(specifier, context)
    throw Object.assign(new Error(`Cannot find module '${specifier}'`), { code: 'MODULE_NOT_FOUND' })
  },
})
