/**
 * The version of Node that runs us.
 *
 * Owns     the refusal of one that is too old. Every entry of the package imports this file first, so that the reason
 *          is one line and not a missing function later. For that to work no file may import by name what an old Node
 *          lacks: such an import fails before any code runs.
 */

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)

if (major < 22 || (major === 22 && minor < 15)) {
  throw new Error(`varve: needs Node.js 22.15 or newer, this is ${process.versions.node}.`)
}
