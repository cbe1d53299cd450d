#!/usr/bin/env node
// The command `varve`. Kept parsable by an old Node, so that it can say in one line that it is too old.
var version = process.versions.node.split('.')
var major = Number(version[0])
var minor = Number(version[1])

if (major < 22 || (major === 22 && minor < 15)) {
  process.stderr.write('varve: needs Node.js 22.15 or newer, this is ' + process.versions.node + '.\n')
  process.exit(2)
} else {
  import('../dist/cli/varve.js')
}
