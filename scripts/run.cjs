/*
 * Starts a script of this repository on the Node that package.json pins (the dev dependency `node`).
 *
 * Runs on whatever Node the machine has, so it is written in old JavaScript. Sources of Varve run as they are, which an
 * old Node cannot do. VARVE_NODE=/path/to/node takes another one.
 */
'use strict'

var childProcess = require('child_process')
var fs = require('fs')
var path = require('path')

var root = path.join(__dirname, '..')
var pinned = path.join(root, 'node_modules', 'node', 'bin', process.platform === 'win32' ? 'node.exe' : 'node')
var node = process.env.VARVE_NODE || pinned

function complain(line) {
  process.stderr.write(line + '\n')
  process.exit(2)
}

if (!fs.existsSync(path.join(root, 'node_modules'))) {
  complain('varve: nothing is installed yet; run `npm ci` first.')
}
if (!fs.existsSync(node) || fs.statSync(node).size < 1000000) {
  complain(
    'varve: the pinned Node is missing (' + path.relative(root, node) + '); run `npm ci` with install scripts allowed.',
  )
}

var env = {}
for (var name in process.env) env[name] = process.env[name]
var pathName = 'PATH'
for (var key in env) if (key.toUpperCase() === 'PATH') pathName = key
var first = [path.dirname(node), path.join(root, 'node_modules', '.bin')]
env[pathName] = first.concat(env[pathName] || []).join(path.delimiter)
// npm puts node_modules/.bin first, so this may run on the pinned Node already.
env.VARVE_HOST_NODE = env.VARVE_HOST_NODE || env.npm_node_execpath || process.execPath

var script = process.argv[2]
if (!script) complain('usage: node scripts/run.cjs SCRIPT [ARGUMENT…]')
var child = childProcess.spawn(node, [path.join(root, script)].concat(process.argv.slice(3)), {
  stdio: 'inherit',
  env: env,
})
child.on('error', function (error) {
  complain('varve: cannot start ' + node + ': ' + error.message)
})
;['SIGINT', 'SIGTERM', 'SIGHUP'].forEach(function (signal) {
  process.on(signal, function () {
    child.kill(signal)
  })
})
child.on('exit', function (code, signal) {
  if (signal) process.removeAllListeners(signal)
  if (signal) process.kill(process.pid, signal)
  else process.exit(code === null ? 1 : code)
})
