/**
 * Generates a git repository that has everything an importer can stumble over.
 *
 *   node test/support/git-fixture.mjs DIR [--commits 3000] [--object-format sha1|sha256] [--seed 1]
 *
 * Owns     the content of the repository: merges, a submodule, symlinks, names with spaces, newlines, quotes and bytes
 *          that are not UTF-8, an empty file, a 3 MiB blob, binary blobs, changed modes, deletions, renames, files that
 *          become directories and back, commits without a change, dates at 0, out of order and in the far future.
 * Holds    Everything is derived from the seed: the same arguments give the same commit ids. Needs only git and any
 *          Node >= 18. The repository is bare, its branch is `main`.
 */
import { spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { pathToFileURL } from 'node:url'

const BRANCH = 'refs/heads/main'
const START = 1_577_836_800 // 2020-01-01 UTC
const STEP_SECONDS = 3_600
const BIG_BLOB_BYTES = 3 * 1024 * 1024
const WORDS = 'sand silt clay loam gravel basalt slate chalk marl shale varve lake ice melt bed core drift'.split(' ')

/** Paths are latin1 strings: one character, one byte. */
const utf8 = (text) => Buffer.from(text, 'utf8').toString('latin1')
const ODD_PATHS = [
  'with space/a file .txt',
  ' leading and trailing ',
  'new\nline/in\nname.txt',
  'tab\tand "quotes" and \\backslash',
  'caf\xe9-latin1.txt',
  'bytes/\x01\x7f\x80\xff\xfe',
  utf8('ünïcode/日本語 🪨.md'),
  '-dash',
  ':colon:',
  'a',
  'a-b',
  'a.b',
  `deep/${'very/'.repeat(40)}deep.txt`,
  `long/${'n'.repeat(250)}`,
]

/** mulberry32: 32 bits of state are enough for a fixture. */
function randomFrom(seed) {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}

class History {
  constructor({ commits, objectFormat, seed }) {
    this.commits = commits
    this.random = randomFrom(seed)
    this.idLength = objectFormat === 'sha256' ? 64 : 40
    this.files = new Map() // path -> mode, on the main line
    this.mark = 0
    this.pieces = []
  }

  below(limit) {
    return Math.floor(this.random() * limit)
  }

  text() {
    const lines = []
    for (let line = this.below(40); line >= 0; line--) {
      lines.push(Array.from({ length: 1 + this.below(12) }, () => WORDS[this.below(WORDS.length)]).join(' '))
    }
    return Buffer.from(lines.join('\n') + (this.random() < 0.9 ? '\n' : ''))
  }

  binary(length) {
    const bytes = Buffer.alloc(length)
    for (let i = 0; i < length; i++) bytes[i] = this.below(256)
    return bytes
  }

  id() {
    return Array.from({ length: this.idLength }, () => this.below(16).toString(16)).join('')
  }

  put(...parts) {
    for (const part of parts) this.pieces.push(typeof part === 'string' ? Buffer.from(part, 'latin1') : part)
  }

  quoted(path) {
    const octal = (byte) => `\\${byte.charCodeAt(0).toString(8).padStart(3, '0')}`
    return `"${path.replace(/[\x00-\x1f"\\\x7f-\xff]/g, octal)}"`
  }

  begin(message, { from, merge, seconds }) {
    this.mark++
    const text = Buffer.from(message)
    const person = (name, time) => `${name} ${name === 'author' ? 'Anna' : 'Carl'} <x@example.org> ${time} +0100\n`
    this.put(`commit ${from?.ref ?? BRANCH}\nmark :${this.mark}\n`)
    this.put(person('author', Math.max(0, seconds - 60)), person('committer', seconds))
    this.put(`data ${text.length}\n`, text, '\n')
    if (from?.mark) this.put(`from :${from.mark}\n`)
    if (merge) this.put(`merge :${merge}\n`)
    return this.mark
  }

  file(path, bytes, mode = '100644', files = this.files) {
    this.put(`M ${mode} inline ${this.quoted(path)}\ndata ${bytes.length}\n`, bytes, '\n')
    files?.set(path, mode)
  }

  gitlink(path) {
    this.put(`M 160000 ${this.id()} ${this.quoted(path)}\n`)
  }

  remove(path) {
    this.put(`D ${this.quoted(path)}\n`)
    for (const held of [...this.files.keys()]) {
      if (held === path || held.startsWith(`${path}/`)) this.files.delete(held)
    }
  }

  rename(from, to) {
    this.put(`R ${this.quoted(from)} ${this.quoted(to)}\n`)
    this.files.set(to, this.files.get(from))
    this.files.delete(from)
  }

  ordinaryPath() {
    return `src/part${this.below(12)}/file${this.below(40)}.txt`
  }

  someFile() {
    const ordinary = [...this.files.keys()].filter((path) => path.startsWith('src/'))
    return ordinary.length === 0 ? undefined : ordinary[this.below(ordinary.length)]
  }

  /** The usual change of the main line: some edits, now and then a deletion, a rename, a new mode. */
  ordinaryChange() {
    for (let edits = 1 + this.below(3); edits > 0; edits--) {
      const binary = this.random() < 0.1
      this.file(this.ordinaryPath(), binary ? this.binary(this.below(3000)) : this.text())
    }
    const chance = this.random()
    const path = this.someFile()
    if (path === undefined) return
    if (chance < 0.15) this.remove(path)
    else if (chance < 0.25) this.rename(path, `src/moved/m${this.mark}.txt`)
    else if (chance < 0.35) this.file(path, this.text(), this.files.get(path) === '100755' ? '100644' : '100755')
    else if (chance < 0.45) this.file(ODD_PATHS[this.below(ODD_PATHS.length - 5)], this.text())
  }

  /** What happens once, by the number of the step; the others are ordinary. */
  special(step) {
    const rows = {
      0: () => this.firstTree(),
      10: () => this.file('big.bin', this.binary(BIG_BLOB_BYTES)),
      20: () => this.gitlink('vendor/module'),
      25: () => this.file('link', Buffer.from('with space/a file .txt'), '120000'),
      30: () => this.file('link', Buffer.from('missing/\xff target', 'latin1'), '120000'),
      35: () => (this.remove('a'), this.file('a/b/c', this.text())),
      40: () => (this.remove('a/b/c'), this.file('a', this.text())),
      45: () => this.file('turns', Buffer.from('src'), '120000'),
      50: () => this.file('turns', this.text()),
      55: () => this.gitlink('turns'),
      60: () => this.gitlink('vendor/module'),
      65: () => (this.gitlink('vendor/gone'), this.file('empty', this.text())),
      70: () => (this.remove('vendor/gone'), this.file('empty', Buffer.alloc(0))),
      75: () => this.remove('new\nline/in\nname.txt'),
      80: () => this.file('new\nline/in\nname.txt', this.text()),
      85: () => {}, // a commit without a change
      90: () => this.remove(' leading and trailing '),
      95: () => this.remove('big.bin'),
      100: () => this.file('big again.bin', this.binary(BIG_BLOB_BYTES)),
    }
    return rows[step]
  }

  firstTree() {
    for (const path of ODD_PATHS) this.file(path, this.text())
    this.file('empty', Buffer.alloc(0))
    this.file('nul.bin', Buffer.from('a\0b\0\0c\n\r\n\xff', 'latin1'))
    this.file('run.sh', Buffer.from('#!/bin/sh\ntrue\n'), '100755')
    this.file('turns', this.text())
    // Ignored submodules hide from `git diff` unless one insists.
    this.file(
      '.gitmodules',
      Buffer.from('[submodule "vendor/module"]\n\tpath = vendor/module\n\turl = ./m\n\tignore = all\n'),
    )
  }

  seconds(step) {
    if (step === 0) return 0
    if (step % 500 === 7) return 4_102_444_800 // 2100-01-01
    if (step % 100 === 11) return START + step * STEP_SECONDS - 86_400
    return START + step * STEP_SECONDS
  }

  /** A side line of two commits and its merge; edits on both sides, one file with the same change. */
  merge(tip, step) {
    const ref = 'refs/heads/side'
    const seconds = this.seconds(step)
    this.put(`reset ${ref}\nfrom :${tip}\n\n`)
    const first = this.begin('side one', { from: { ref, mark: tip }, seconds })
    const one = this.text()
    this.file(`side/${step}.txt`, one, '100644', undefined)
    const second = this.begin('side two', { from: { ref, mark: first }, seconds: seconds + 1 })
    const two = this.text()
    this.file(`side/shared.txt`, two, '100644', undefined)
    const merged = this.begin(`merge ${step}`, {
      from: { ref: BRANCH, mark: tip },
      merge: second,
      seconds: seconds + 2,
    })
    this.file(`side/${step}.txt`, one)
    this.file(`side/shared.txt`, two)
    if (step % 3 === 0) this.file(this.ordinaryPath(), this.text()) // an edit that neither parent has
    return merged
  }

  /** Yields the stream for `git fast-import` in pieces. */
  *stream() {
    let tip
    for (let step = 0; this.mark < this.commits; step++) {
      if (step % 20 === 19 && this.mark + 3 <= this.commits) {
        tip = this.merge(tip, step)
      } else {
        tip = this.begin(`step ${step}`, { from: { ref: BRANCH, mark: tip }, seconds: this.seconds(step) })
        const special = this.special(step)
        if (special) special()
        else if (step % 97 !== 96) this.ordinaryChange()
      }
      yield Buffer.concat(this.pieces.splice(0))
    }
    yield Buffer.from(`tag v1\nfrom :${tip}\ntagger T <t@example.org> ${START} +0000\ndata 3\none\ndone\n`)
  }
}

function git(args, stream) {
  return new Promise((resolve, reject) => {
    const env = Object.fromEntries(
      Object.entries(process.env).filter(([name]) => !/^GIT_(DIR|WORK_TREE|INDEX_FILE|OBJECT_DIRECTORY)$/.test(name)),
    )
    const child = spawn('git', args, { stdio: ['pipe', 'ignore', 'inherit'], env })
    child.on('error', reject)
    child.on('close', (code) =>
      code === 0 ? resolve() : reject(new Error(`git ${args.join(' ')} ended with ${code}`)),
    )
    child.stdin.on('error', reject)
    void (async () => {
      for (const piece of stream ?? []) {
        if (!child.stdin.write(piece)) await new Promise((go) => child.stdin.once('drain', go))
      }
      child.stdin.end()
    })().catch(reject)
  })
}

/** Generates the repository in `directory`, which is made when missing. */
export async function generateRepository(directory, { commits = 3000, objectFormat = 'sha1', seed = 1 } = {}) {
  mkdirSync(directory, { recursive: true })
  const format = objectFormat === 'sha1' ? [] : [`--object-format=${objectFormat}`]
  await git(['init', '--quiet', '--bare', '--initial-branch=main', ...format, directory])
  const history = new History({ commits, objectFormat, seed })
  await git(['-C', directory, 'fast-import', '--quiet', '--done', '--date-format=raw'], history.stream())
}

async function main(args) {
  const positional = []
  const options = {}
  while (args.length > 0) {
    const word = args.shift()
    if (word === '--commits') options.commits = Number(args.shift())
    else if (word === '--object-format') options.objectFormat = args.shift()
    else if (word === '--seed') options.seed = Number(args.shift())
    else positional.push(word)
  }
  if (positional.length !== 1) {
    console.error('Usage: node git-fixture.mjs DIR [--commits 3000] [--object-format sha1|sha256] [--seed 1]')
    process.exitCode = 2
    return
  }
  await generateRepository(positional[0], options)
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main(process.argv.slice(2))
