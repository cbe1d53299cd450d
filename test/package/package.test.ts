/**
 * The package as a user has it: nothing native, nothing that runs at install, both ways of importing it, its types, its
 * command, on every Node at hand.
 */
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  emptyFolder,
  filesBelow,
  install,
  installedManifests,
  majorOf,
  oldRuntime,
  pack,
  removeFolder,
  runIn,
  runtimes,
} from '../support/installed-package.ts'
import { ROOT } from '../support/source-tree.ts'

const here = { name: process.versions.node, node: process.execPath }
const supported = runtimes().filter((runtime) => majorOf(runtime) >= 22)
const old = oldRuntime()
const TOO_OLD = /^varve: needs Node\.js 22\.15 or newer, this is [\d.]+\.$/

const USE_IT = `
const topic = await store.topic('things', { create: 'must' })
const receipt = await topic.append({ value: new TextEncoder().encode('one') })
if (receipt.ack !== 'disk') throw new Error('not on disk')
let seen = ''
for await (const record of topic.read()) seen += new TextDecoder().decode(record.value)
if (seen !== 'one') throw new Error('read back: ' + seen)
await store.close()
console.log('ok ' + receipt.offset)
`

const USE_THREAD = `
let workers = 0, stalls = 0
process.on('worker', () => workers++)
channel('varve:stall').subscribe(() => stalls++)
const topic = await store.topic('things', { create: 'must', config: { segmentBytes: '1MiB' } })
const value = new Uint8Array(1000)
for (let n = 0; n < 25; n++) await topic.appendMany(Array.from({ length: 100 }, () => ({ value })))
await store.close()
const sealed = readdirSync(directory + '/log/things-0').filter((name) => name.endsWith('.varve')).length
console.log('ok ' + sealed + ' sealed, ' + workers + ' worker, ' + stalls + ' stalls')
`

const USE_CODECS = `
const seen = []
for (const compressionType of ['lz4', 'snappy']) {
  try {
    const topic = await store.topic(compressionType, { create: 'must', config: { compressionType } })
    await topic.append({ value: new Uint8Array(1000) })
    for await (const record of topic.read()) seen.push(record.value.length)
  } catch (error) {
    seen.push(error.code + ' ' + error.details.package)
  }
}
await store.close()
console.log(seen.join(', '))
`

const CODEC_PROGRAMS = {
  'codecs.mjs': `import { openStore } from 'varve'\nconst store = await openStore('./codecs-by-import')\n${USE_CODECS}`,
  'codecs.cjs': `const { openStore } = require('varve')
async function main() {
const store = await openStore('./codecs-by-require')
${USE_CODECS}}
main()
`,
}

const TIER_PROGRAM = `
import { s3Tier } from 'varve/s3'
import { gcsTier } from 'varve/gcs'
const said = []
for (const tier of [s3Tier({ bucket: 'logs', region: 'eu-central-1' }), gcsTier({ bucket: 'logs' })]) {
  try {
    said.push(tier.open({}).objects.place)
  } catch (error) {
    said.push(error.code + ' ' + error.details.package)
  }
}
console.log('ok ' + said.join(', '))
`

const PROGRAMS = {
  'import.mjs': `import { openStore } from 'varve'\nconst store = await openStore('./by-import')\n${USE_IT}`,
  'require.cjs': `const { openStore } = require('varve')
async function main() {
const store = await openStore('./by-require')
${USE_IT}}
main()
`,
  'thread.mjs': `import { openStore } from 'varve'
import { channel } from 'node:diagnostics_channel'
import { readdirSync } from 'node:fs'
const directory = process.argv[2] ?? './thread-by-import'
const store = await openStore(directory)\n${USE_THREAD}`,
  'thread.cjs': `const { openStore } = require('varve')
const { channel } = require('node:diagnostics_channel')
const { readdirSync } = require('node:fs')
async function main() {
const directory = './thread-by-require'
const store = await openStore(directory)
${USE_THREAD}}
main()
`,
  'testing.mjs': `import * as testing from 'varve/testing'\nconsole.log('ok ' + Object.keys(testing).length)\n`,
}

const CONSUMER = `
import { openStore, defineTopic, utf8, json, VarveError, type Receipt } from 'varve'
import { gcsTier } from 'varve/gcs'
import { s3Tier } from 'varve/s3'
import { memoryFileSystem } from 'varve/testing'

export const tiers = [s3Tier({ bucket: 'logs', endpoint: 'http://127.0.0.1:9000' }), gcsTier({ bucket: 'logs' })]
// @ts-expect-error a client of one's own has an endpoint of its own
s3Tier({ bucket: 'logs', client: { send: () => 1, config: {} }, endpoint: 'http://127.0.0.1:9000' })

const Orders = defineTopic('orders', { key: utf8(), value: json<{ total: number }>() })

export async function place(directory: string): Promise<Receipt> {
  const store = await openStore(directory, { fileSystem: memoryFileSystem() })
  const orders = await store.topic(Orders, { create: 'if-missing' })
  try {
    // @ts-expect-error the value's type is known
    await orders.append({ key: 'a', value: { total: 'ten' } })
    return await orders.append({ key: 'a', value: { total: 10 } })
  } catch (error) {
    if (VarveError.is(error, 'DISK_FULL')) throw new Error('full', { cause: error })
    throw error
  } finally {
    await store.close()
  }
}
`

let packed: ReturnType<typeof pack>
let packFolder: string
let user: string
const folders: string[] = []

beforeAll(() => {
  packFolder = emptyFolder('pack')
  packed = pack(here, packFolder)
  user = install(here, packed.file)
  folders.push(packFolder, user)
})

afterAll(() => {
  for (const folder of folders) removeFolder(folder)
})

describe('what is packed', () => {
  test('holds the compiled files, their types and the documents, and no source or test', () => {
    expect(packed.contents).toEqual(
      expect.arrayContaining([
        'package.json',
        'README.md',
        'LICENSE',
        'bin/varve.mjs',
        'dist/varve.js',
        'dist/varve.d.ts',
      ]),
    )
    expect(packed.contents.filter((path) => !/^(bin|dist|docs)\/|^[^/]+$/.test(path))).toEqual([])
    expect(packed.contents.filter((path) => path.endsWith('.ts') && !path.endsWith('.d.ts'))).toEqual([])
  })

  test('ships msgpackr with its licence, and nothing asks for the package', () => {
    expect(packed.contents).toEqual(expect.arrayContaining(['dist/vendor/msgpackr.js', 'dist/vendor/msgpackr.LICENSE']))
    const code = filesBelow(join(user, 'node_modules/varve/dist')).filter((file) => /\.(js|d\.ts)$/.test(file))
    const asking = code.filter((file) => /(from|import\(|require\()\s*['"]msgpackr/.test(readFileSync(file, 'utf8')))
    expect(asking).toEqual([])
  })

  test('shows no internal name in its types', () => {
    const types = filesBelow(join(user, 'node_modules/varve/dist')).filter((file) => file.endsWith('.d.ts'))
    expect(types.filter((file) => readFileSync(file, 'utf8').includes('@internal'))).toEqual([])
  })

  test('names no entry that is not there', () => {
    const manifest = JSON.parse(readFileSync(join(user, 'node_modules/varve/package.json'), 'utf8')) as {
      exports: Record<string, string | Record<string, string>>
      bin: Record<string, string>
    }
    const entries = Object.values(manifest.exports).flatMap((entry) =>
      typeof entry === 'string' ? entry : Object.values(entry),
    )
    const files = [...entries, ...Object.values(manifest.bin)]
    expect(files.filter((file) => !existsSync(join(user, 'node_modules/varve', file)))).toEqual([])
  })
})

describe('what is installed', () => {
  test('is the package and its three dependencies', () => {
    const names = installedManifests(user).map((manifest) => manifest.name)
    expect(names.sort()).toEqual(['@standard-schema/spec', 'commander', 'varve', 'xxhash-wasm'])
  })

  test('runs nothing at install', () => {
    const scripts = installedManifests(user).flatMap((manifest) => Object.keys(manifest.scripts))
    expect(scripts.filter((name) => /^(pre|post)?install$|^prepare$/.test(name))).toEqual([])
    expect(filesBelow(join(user, 'node_modules')).filter((file) => file.endsWith('binding.gyp'))).toEqual([])
  })

  test('is nothing native', () => {
    expect(filesBelow(join(user, 'node_modules')).filter((file) => /\.(node|so|dll|dylib)$/.test(file))).toEqual([])
  })
})

describe.each(supported)('on Node $name', (runtime) => {
  let folder: string

  beforeAll(() => {
    folder = install(runtime, packed.file)
    folders.push(folder)
    for (const [name, text] of Object.entries(PROGRAMS)) writeFileSync(join(folder, name), text)
  })

  test.each(Object.keys(PROGRAMS))('%s works, and quietly', (name) => {
    const { status, stdout, stderr } = runIn(folder, runtime, [name])
    expect({ status, stdout, stderr }).toEqual({
      status: 0,
      stdout: expect.stringMatching(/^ok /) as string,
      stderr: '',
    })
  })

  test('segments are sealed in a thread, and without one where its file is missing', () => {
    const said = (name: string, ...more: string[]): unknown => {
      const { status, stdout, stderr } = runIn(folder, runtime, [name, ...more])
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
      return stdout.trimEnd()
    }
    expect(said('thread.mjs', './threaded')).toBe('ok 2 sealed, 1 worker, 0 stalls')
    const entry = join(folder, 'node_modules/varve/dist/store-worker.js')
    renameSync(entry, `${entry}.gone`)
    expect(said('thread.mjs', './inline')).toBe('ok 2 sealed, 1 worker, 1 stalls')
    renameSync(`${entry}.gone`, entry)
  })

  test('lz4 and snappy ask for their packages, and work once these are there', () => {
    const said = (name: string): unknown => {
      const { status, stdout, stderr } = runIn(folder, runtime, [name])
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
      return stdout.trimEnd()
    }
    for (const [name, text] of Object.entries(CODEC_PROGRAMS)) writeFileSync(join(folder, name), text)
    const refused = 'UNSUPPORTED lz4-wasm-nodejs, UNSUPPORTED hysnappy'
    expect(Object.keys(CODEC_PROGRAMS).map(said)).toEqual([refused, refused])
    for (const name of ['lz4-wasm-nodejs', 'hysnappy']) {
      cpSync(join(ROOT, 'node_modules', name), join(folder, 'node_modules', name), { recursive: true })
    }
    expect(Object.keys(CODEC_PROGRAMS).map(said)).toEqual(['1000, 1000', '1000, 1000'])
  })

  test('tiers in the cloud ask for their packages', () => {
    writeFileSync(join(folder, 'tiers.mjs'), TIER_PROGRAM)
    const { status, stdout, stderr } = runIn(folder, runtime, ['tiers.mjs'])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout.trimEnd()).toBe('ok UNSUPPORTED @aws-sdk/client-s3, UNSUPPORTED @google-cloud/storage')
  })

  test.each([['consumer.ts'], ['consumer.mts']])('%s compiles under strict settings', (name) => {
    const options = {
      strict: true,
      exactOptionalPropertyTypes: true,
      module: 'nodenext',
      target: 'es2023',
      lib: ['es2023', 'esnext.disposable'],
      types: ['node'],
      typeRoots: [join(ROOT, 'node_modules/@types')],
      noEmit: true,
      skipLibCheck: false,
    }
    writeFileSync(join(folder, name), CONSUMER)
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, files: [name] }))
    const tsc = join(ROOT, 'node_modules/typescript/bin/tsc')
    expect(runIn(folder, runtime, [tsc, '-p', '.', '--pretty', 'false'])).toMatchObject({ status: 0, stdout: '' })
  })

  test('the command explains itself', () => {
    const { status, stdout, stderr } = runIn(folder, runtime, ['node_modules/varve/bin/varve.mjs', '--help'])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout).toContain('demo')
  })

  test('the demo ends in verified', () => {
    const repository = join(folder, 'repository.git')
    const generator = join(ROOT, 'test/support/git-fixture.mjs')
    execFileSync(process.execPath, [generator, repository, '--commits', '60'], { stdio: ['ignore', 'ignore', 'pipe'] })
    const { status, stdout, stderr } = runIn(folder, runtime, ['node_modules/varve/bin/varve.mjs', 'demo', repository])
    expect({ status, stderr: status === 0 ? '' : stderr }).toEqual({ status: 0, stderr: '' })
    expect(stdout.trimEnd().split('\n').at(-1)).toMatch(/^verified/)
  })
})

describe('an old Node', () => {
  /** Makes this Node say that it is an old one, where no old one is at hand. */
  const pretend = "data:text/javascript,Object.defineProperty(process.versions,'node',{value:'20.20.2'})"
  const runs = [{ name: 'pretended', node: here.node, flags: ['--import', pretend] }]
  if (old !== undefined) runs.push({ ...old, flags: [] })

  test.each(runs)('gets one line from the command ($name)', ({ name, node, flags }) => {
    const outcome = runIn(user, { name, node }, [...flags, 'node_modules/varve/bin/varve.mjs', 'topics'])
    expect(outcome).toMatchObject({ status: 2, stdout: '' })
    expect(outcome.stderr.trimEnd()).toMatch(TOO_OLD)
  })

  test.each(runs)('gets one line from the library ($name)', ({ name, node, flags }) => {
    writeFileSync(join(user, 'old.mjs'), "import('varve').then(() => {}, (error) => console.log(error.message))\n")
    const outcome = runIn(user, { name, node }, [...flags, 'old.mjs'])
    expect(outcome).toMatchObject({ status: 0, stderr: '' })
    expect(outcome.stdout.trimEnd()).toMatch(TOO_OLD)
  })
})
