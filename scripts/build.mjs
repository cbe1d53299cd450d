// Builds dist/: one JavaScript and one declaration file per source file, lowered so that Node 22 parses it, and
// msgpackr's plain JavaScript with its licence (its own package brings a native part along, which ours must not).
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const dist = join(root, 'dist')
const vendored = { 'msgpackr/index-no-eval': 'vendor/msgpackr.js' }

function compile() {
  const { status, error } = spawnSync(
    process.execPath,
    [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.build.json'],
    {
      cwd: root,
      stdio: 'inherit',
    },
  )
  if (error) throw error
  if (status !== 0) process.exit(status ?? 1)
}

/** CommonJS text as a module: its names become ours, nothing in it changes. */
function asModule(text, names) {
  return [
    '// msgpackr, MIT licence, see msgpackr.LICENSE beside this file.',
    'const exports = {}, module = { exports };',
    text.replace(/\n\/\/# sourceMappingURL=.*\s*$/, '\n'),
    `export const { ${names.join(', ')} } = module.exports`,
    '',
  ].join('\n')
}

function vendor() {
  const source = join(root, 'node_modules/msgpackr')
  const text = readFileSync(join(source, 'dist/index-no-eval.cjs'), 'utf8')
  if (/\brequire\(|\.node\b['"]/.test(text)) throw new Error('msgpackr/index-no-eval is no longer self-contained')
  const names = [...text.matchAll(/^\texports\.(\w+) = /gm)].map((match) => match[1])
  mkdirSync(join(dist, 'vendor'), { recursive: true })
  writeFileSync(join(dist, 'vendor/msgpackr.js'), asModule(text, names))
  writeFileSync(join(dist, 'vendor/msgpackr.LICENSE'), readFileSync(join(source, 'LICENSE')))
}

function filesOf(folder) {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
}

/** Points imports of what we ship at our copy, and relative ones, and files by URL, at what stands in dist. */
function rewriteImports(file) {
  const before = readFileSync(file, 'utf8')
  const after = before.replace(
    /((?:from|import)\s*\(?\s*|new URL\(\s*)(['"])([^'"]+)\2/g,
    (whole, head, quote, name) => {
      if (Object.hasOwn(vendored, name)) {
        const target = relative(dirname(file), join(dist, vendored[name])).split(sep).join('/')
        return `${head}${quote}${target.startsWith('.') ? target : `./${target}`}${quote}`
      }
      if (/^\.\.?\/.*\.ts$/.test(name)) return `${head}${quote}${name.slice(0, -3)}.js${quote}`
      return whole
    },
  )
  if (after !== before) writeFileSync(file, after)
  if (file.endsWith('.d.ts') && after.includes('msgpackr')) throw new Error(`${file} shows msgpackr in its types`)
}

function targetsOf(entry) {
  return typeof entry === 'string' ? [entry] : Object.values(entry).flatMap(targetsOf)
}

function checkEntries() {
  const { exports, bin } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const missing = [...targetsOf(exports), ...targetsOf(bin), 'dist/cli/varve.js', 'dist/store-worker.js'].filter(
    (file) => !existsSync(join(root, file)),
  )
  if (missing.length === 0) return
  console.error(`build: package.json names what does not exist: ${missing.join(', ')}`)
  process.exit(1)
}

const started = performance.now()
rmSync(dist, { recursive: true, force: true })
compile()
const built = filesOf(dist).filter((file) => /\.(js|d\.ts)$/.test(file))
for (const file of built) rewriteImports(file)
vendor()
checkEntries()
console.error(`build: ${built.length} files in dist, ${((performance.now() - started) / 1000).toFixed(1)} s`)
