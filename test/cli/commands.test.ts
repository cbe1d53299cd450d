/**
 * The command as people use it: processes, pipes, exit codes, messages.
 */
import { execFile } from 'node:child_process'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { temporaryDirectory } from '../support/cli-directories.ts'
import { COMMAND, firstOutput, jsonOf, outcomeOf, runCommand, startCommand } from '../support/run-command.ts'

const STACK = /\n\s+at .*\(?.*:\d+:\d+\)?/

function inStore(directory: string): (...args: string[]) => string[] {
  return (...args) => ['--dir', join(directory, 'store'), ...args]
}

test('a topic is made, described, altered and deleted', async () => {
  const at = inStore(temporaryDirectory())
  const made = await runCommand(at('create', 'orders', '--partitions', '3', '--config', 'retention.ms=7d'))
  expect(made).toEqual({ code: 0, stdout: 'Created orders with 3 partitions.\n', stderr: '' })
  expect(await jsonOf(at('topics'))).toEqual([[{ name: 'orders', partitions: 3 }]])
  expect((await runCommand(at('topics'))).stdout).toBe('topic   partitions\norders           3\n')
  await jsonOf(at('alter', 'orders', '--config', 'segmentBytes=2MiB', '--add-partitions', '1'))
  const [described] = await jsonOf(at('describe', 'orders'))
  expect(described?.['config']).toMatchObject({ retentionMs: 7 * 86_400_000, segmentBytes: 2 * 1024 * 1024 })
  expect(described?.['partitions']).toHaveLength(4)
  expect((await runCommand(at('delete', 'orders'))).stdout).toBe('Deleted orders.\n')
  expect((await runCommand(at('topics'))).stderr).toMatch(/^No topics in/)
})

test('lines go in and come out, as text, JSON and bare bytes', async () => {
  const at = inStore(temporaryDirectory())
  const input = Buffer.concat([
    Buffer.from('ada:18\t15\nalan:gone\nbin:'),
    Buffer.from([0xff, 0x00]),
    Buffer.from('\n:last'),
  ])
  const appended = await runCommand(at('append', 'people', '--create', '--key-separator', ':', '--tombstone', 'gone'), {
    input,
  })
  expect(appended.stdout).toMatch(/^4 records appended to people in /)
  const records = await jsonOf(at('read', 'people'))
  expect(records.map(({ offset, key, value, headers }) => [offset, key, value, headers])).toEqual([
    [0, 'ada', '18\t15', []],
    [1, 'alan', null, []],
    [2, 'bin', { base64: '/wA=' }, []],
    [3, '', 'last', []],
  ])
  const text = (await runCommand(at('read', 'people', '--limit', '1'))).stdout
  expect(text).toMatch(/^0:0 {2}\d{4}-\d\d-\d\dT[\d:.]+Z {2}ada {2}18\\t15\n$/)
  expect((await runCommand(at('read', 'people', '--format', 'value', '--from', '3'))).stdout).toBe('last\n')
  expect((await runCommand(at('read', 'people', '--format', 'key-value', '--until', '1'))).stdout).toBe('ada\t18\t15\n')
  // What is not there yet is not waited for.
  const whole = (await runCommand(at('read', 'people'))).stdout
  for (const place of ['999', '2999-01-01'])
    expect((await runCommand(at('read', 'people', '--partition', '0', '--until', place))).stdout).toBe(whole)
  expect((await runCommand(at('read', 'people', '--until', '2000-01-01'))).stdout).toBe('')
  expect(await jsonOf(at('read', 'people', '--from', '2000-01-01', '--limit', '1'))).toHaveLength(1)
})

test('keys are looked up, and what is live is drawn', async () => {
  const at = inStore(temporaryDirectory())
  const config = ['--config', 'cleanup.policy=compact', '--config', 'segment.bytes=2KiB']
  await jsonOf(at('create', 'people', ...config))
  const append = (lines: readonly string[]): Promise<unknown> =>
    jsonOf(at('append', 'people', '--key-separator', ':', '--tombstone', 'gone'), { input: lines.join('\n') })
  const keys = Array.from({ length: 100 }, (_, n) => `k${n}`)
  for (const round of [1, 2]) await append(keys.map((key) => `${key}:value ${round} of ${key}`))
  await append(['k7:gone'])
  expect((await runCommand(at('get', 'people', 'k8', '--format', 'value'))).stdout).toBe('value 2 of k8\n')
  expect(await jsonOf(at('get', 'people', 'k8'))).toMatchObject([{ offset: 108, key: 'k8', value: 'value 2 of k8' }])
  for (const key of ['k7', 'nobody'])
    expect(await runCommand(at('get', 'people', key))).toEqual({
      code: 1,
      stdout: '',
      stderr: 'varve: people has no record with this key.\n',
    })
  const history = await jsonOf(at('history', 'people', 'k7'))
  expect(history.map(({ offset, value }) => [offset, value])).toEqual([
    [7, 'value 1 of k7'],
    [107, 'value 2 of k7'],
    [200, null],
  ])
  const latest = await jsonOf(at('read', 'people', '--latest'))
  expect(latest.map(({ value }) => value)).toEqual(keys.filter((key) => key !== 'k7').map((key) => `value 2 of ${key}`))
  expect(await runCommand(at('read', 'people', '--latest', '--follow'))).toMatchObject({ code: 2, stdout: '' })

  const [described] = await jsonOf(at('describe', 'people'))
  const [{ segments }] = described!['partitions'] as [{ segments: { bytes: number; liveBytes: number }[] }]
  expect(segments.length).toBeGreaterThan(2)
  expect(segments[0]!.liveBytes).toBe(0)
  expect(segments.at(-1)!.liveBytes).toBeGreaterThan(segments.at(-1)!.bytes / 2)
  const drawing = async (LC_ALL: string): Promise<string[]> => {
    const { stdout } = await runCommand(at('describe', 'people'), { env: { LC_ALL } })
    return stdout.split('\n').filter((line) => /^ +[\d ]+ {2}(?:\d+ {2})?[\d.]+ k?B/.test(line))
  }
  const plain = await drawing('C')
  expect(plain).toHaveLength(segments.length)
  expect(plain[0]).toMatch(/ #+\.*$/)
  expect(plain.at(-1)).toMatch(/^ +0 .* 0 % +\.+$/)
  expect((await drawing('en_US.UTF-8')).at(-1)).toMatch(/ 0 % +░+$/)
  expect((await runCommand(at('describe', 'people', '--no-live'))).stdout).not.toContain('newest on top')
})

test.each(['none', 'zstd'])('what is live is drawn as a share of the records, compressed by %s', async (codec) => {
  const at = inStore(temporaryDirectory())
  const config = ['--config', 'cleanup.policy=compact', '--config', `compression.type=${codec}`]
  await jsonOf(at('create', 'people', ...config))
  const input = [...Array(60).keys()].map((n) => `k${n % 45}:${'the same again '.repeat(20)}`).join('\n')
  await jsonOf(at('append', 'people', '--key-separator', ':'), { input })
  const drawn = await runCommand(at('describe', 'people'), { env: { LC_ALL: 'C' } })
  expect(drawn.stdout).toMatch(/^from offset +bytes +live +# live, \. superseded\n +0 +[\d.]+ k?B +75 % +#{30}\.{10}$/m)
  // Where a row is for several segments, it says for how many.
  await jsonOf(at('alter', 'people', '--config', 'segment.bytes=600', '--config', 'batch.bytes=600'))
  const more = [...Array(900).keys()].map((n) => `n${n}:${(n / 7).toString(36).repeat(5)}`)
  await jsonOf(at('append', 'people', '--key-separator', ':'), { input: more.join('\n') })
  const [described] = await jsonOf(at('describe', 'people'))
  const [{ segments }] = described!['partitions'] as [{ segments: unknown[] }]
  const { stdout } = await runCommand(at('describe', 'people'), { env: { LC_ALL: 'C' } })
  const rows = stdout.slice(stdout.indexOf('from offset')).split('\n\n')[0]!.split('\n')
  expect(rows[0]).toMatch(/^from offset +segments +bytes +live /)
  expect(rows.length).toBeLessThan(26)
  const counts = rows.slice(1).map((row) => Number(row.trim().split(/ {2,}/)[1]))
  expect(counts.reduce((sum, n) => sum + n)).toBe(segments.length)
})

test('lines of JSON are taken as they stand', async () => {
  const directory = temporaryDirectory()
  const at = inStore(directory)
  const file = join(directory, 'people.ndjson')
  writeFileSync(file, '{"id":1, "name": "Ada"}\n\n{"id":"two","at":"2026-01-01T00:00:00Z"}\n')
  const args = ['--topic', 'people', '--key', '.id', '--create']
  expect(await jsonOf(at('import', file, ...args))).toMatchObject([{ topic: 'people', records: 2 }])
  expect(await jsonOf(at('import', '-', ...args), { input: '{"id":true}\n' })).toMatchObject([{ records: 1 }])
  const records = await jsonOf(at('read', 'people'))
  expect(records.map(({ key, value }) => [key, value])).toEqual([
    ['1', '{"id":1, "name": "Ada"}'],
    ['two', '{"id":"two","at":"2026-01-01T00:00:00Z"}'],
    ['true', '{"id":true}'],
  ])
  const wrong = await runCommand(at('import', '-', ...args), { input: '{"id":5}\nnonsense\n' })
  expect(wrong).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('standard input:2: not JSON') })
  expect(await jsonOf(at('read', 'people'))).toHaveLength(4)
})

test('mistakes are one message, an exit code and no stack trace', async () => {
  const directory = temporaryDirectory()
  const at = inStore(directory)
  await jsonOf(at('create', 'orders'))
  const cases: readonly (readonly [args: string[], code: number, message: RegExp])[] = [
    [[], 2, /Usage: varve/],
    [['bogus'], 2, /unknown command 'bogus'/],
    [['read'], 2, /missing required argument 'topic'/],
    [['read', 'orders', '--from', 'soon'], 2, /an offset, or a time/],
    [['create', 'x', '--partitions', '0'], 2, /number above 0/],
    [
      at('read', 'missing'),
      2,
      /^varve: There is no topic missing: `varve topics` lists .*, `varve create` makes one\.$/m,
    ],
    [at('create', 'orders'), 1, /orders/],
    [at('create', '../up'), 2, /name/],
    [at('create', 'x', '--config', 'retentionMS=1'), 2, /retentionMs/],
    [at('create', 'x', '--config', 'nonsense'), 2, /name=value/],
    [at('alter', 'orders'), 2, /Nothing to change/],
    [at('read', 'orders', '--partition', '7'), 2, /partition/i],
    [at('read', 'orders', '--from', '99'), 2, /99/],
    [at('import', join(directory, 'nowhere'), '--topic', 'orders'), 2, /nowhere/],
    [at('dump', join(directory, 'nowhere')), 2, /nowhere/],
    [at('import-git', directory, '--topic', 't'), 2, /not a git repository/],
    [['--dir', join(directory, 'nothing'), 'topics'], 2, /nothing/],
    [['--dir', join(directory, 'nothing'), 'append', 'x'], 2, /nothing/],
  ]
  for (const [args, code, message] of cases) {
    const run = await runCommand(args)
    expect.soft({ args, code: run.code }).toEqual({ args, code })
    expect.soft(run.stderr).toMatch(message)
    expect.soft(run.stderr).not.toMatch(STACK)
    expect.soft(run.stderr).not.toMatch(/should not happen/)
  }
  const asJson = await runCommand(['--json', ...at('read', 'missing')])
  expect(JSON.parse(asJson.stderr)).toMatchObject({ error: { code: 'TOPIC_MISSING', details: { topic: 'missing' } } })
})

test('every subcommand explains itself with an example', async () => {
  const help = await runCommand(['--help'])
  expect(help).toMatchObject({ code: 0, stderr: '' })
  const list = help.stdout.slice(help.stdout.indexOf('Commands:'))
  const commands = [...list.matchAll(/^ {2}([a-z-]+) (?:\[|<| )/gm)].map((match) => match[1] ?? '')
  expect(commands.length).toBeGreaterThanOrEqual(15)
  for (const command of commands.filter((name) => name !== 'help')) {
    const run = await runCommand([command, '--help'])
    expect.soft(run).toMatchObject({ code: 0, stderr: '' })
    expect.soft(run.stdout).toContain(`Usage: varve ${command}`)
    expect.soft(run.stdout).toMatch(new RegExp(`\\$ .*varve .*${command}|\\$ varve ${command}`))
  }
})

test('a reader that has seen enough ends the command quietly', async () => {
  const at = inStore(temporaryDirectory())
  const input = Array.from({ length: 20_000 }, (_, n) => `line ${n} ${'x'.repeat(100)}`).join('\n')
  await jsonOf(at('append', 'lines', '--create'), { input })
  const shell = ['-o', 'pipefail', '-c', '"$@" | head -n 1', 'bash', process.execPath, COMMAND]
  const run = await new Promise<{ error: unknown; stdout: string; stderr: string }>((resolve) => {
    execFile('bash', [...shell, ...at('read', 'lines')], (error, stdout, stderr) => resolve({ error, stdout, stderr }))
  })
  expect(run.error).toBeNull()
  expect(run.stderr).toBe('')
  expect(run.stdout.split('\n')).toHaveLength(2)
})

test('a compacted topic is cleaned, one or all of them', async () => {
  const at = inStore(temporaryDirectory())
  const config = ['--config', 'cleanupPolicy=compact', '--config', 'deleteRetentionMs=0']
  await runCommand(at('create', 'people', '--partitions', '1', ...config))
  await runCommand(at('create', 'lines', '--partitions', '1'))
  const input = Buffer.from('ada:1\nbin:1\nada:2\nbin:gone\nada:3\n')
  await runCommand(at('append', 'people', '--key-separator', ':', '--tombstone', 'gone'), { input })
  expect((await runCommand(at('clean', 'people'))).stdout).toMatch(/^people: nothing to clean in /)
  expect(await jsonOf(at('clean', '--force'))).toMatchObject([{ topic: 'people', readRecords: 5, keptRecords: 2 }])
  expect((await runCommand(at('clean', 'people', '--force'))).stdout).toMatch(
    /^people: 2 records read, 1 kept, .* freed in /,
  )
  const left = await jsonOf(at('read', 'people'))
  expect(left.map(({ offset, key, value }) => [offset, key, value])).toEqual([[4, 'ada', '3']])
  const refused = await runCommand(at('clean', 'lines'))
  expect(refused).toMatchObject({ code: 2, stdout: '' })
  expect(refused.stderr).toMatch(/cleanupPolicy/)
})

test('stats says what waits for cleaning, and that it does not know of passes', async () => {
  const at = inStore(temporaryDirectory())
  await jsonOf(at('create', 'people', '--config', 'cleanupPolicy=compact', '--config', 'segmentBytes=2KiB'))
  const input = Array.from({ length: 100 }, (_, n) => `k${n % 7}:${'value '.repeat(12)}${n}`).join('\n')
  await jsonOf(at('append', 'people', '--key-separator', ':'), { input })
  const [described] = await jsonOf(at('describe', 'people'))
  const [{ segments }] = described!['partitions'] as [{ segments: { bytes: number; phase: string }[] }]
  const sealed = segments.filter(({ phase }) => phase === 'sealed')
  const backlogBytes = sealed.reduce((sum, { bytes }) => sum + bytes, 0)
  expect(backlogBytes).toBeGreaterThan(0)
  expect(await jsonOf(at('stats'))).toMatchObject([{ cleaner: { backlogBytes, lastPass: null, uncleanable: null } }])
  expect((await runCommand(at('stats'))).stdout).toMatch(/^cleaner\.uncleanable +-$/m)
  await jsonOf(at('clean', '--force'))
  expect(await jsonOf(at('stats'))).toMatchObject([{ cleaner: { backlogBytes: 0 } }])
})

test('where a topic cannot be cleaned the others are', async () => {
  const directory = temporaryDirectory()
  const at = inStore(directory)
  const input = Array.from({ length: 500 }, (_, n) => `k${n % 7}:${'value '.repeat(12)}${n}`).join('\n')
  for (const name of ['a', 'b', 'c']) {
    await jsonOf(at('create', name, '--config', 'cleanupPolicy=compact', '--config', 'segmentBytes=16KiB'))
    await jsonOf(at('append', name, '--key-separator', ':'), { input })
  }
  const path = join(directory, 'store/log/b-0/00000000000000000000.log')
  const bytes = readFileSync(path)
  bytes[bytes.length >> 1]! ^= 4
  writeFileSync(path, bytes)
  const run = await runCommand(at('clean', '--force'))
  expect(run.code).toBe(1)
  expect(run.stdout).toMatch(/^a: 500 records read, 7 kept, .*\nc: 500 records read, 7 kept, .*\n$/)
  expect(run.stderr).toMatch(/^varve: b\/0 is damaged at byte .*\n$/)
})

test('Ctrl-C ends a follower and a writer in order', async () => {
  const at = inStore(temporaryDirectory())
  await jsonOf(at('create', 'lines'))
  const writer = startCommand(at('append', 'lines'))
  writer.stdin?.write('one\ntwo\n')
  const follower = startCommand(at('read', 'lines', '--follow', '--format', 'value'))
  await firstOutput(follower)
  follower.kill('SIGINT')
  writer.kill('SIGINT')
  const [followed, wrote] = await Promise.all([outcomeOf(follower), outcomeOf(writer)])
  expect(followed.code).toBe(130)
  expect(wrote.code).toBe(130)
  expect(wrote.stderr).toBe('varve: Interrupted.\n')
  expect((await jsonOf(at('read', 'lines'))).map(({ value }) => value)).toEqual(['one', 'two'])
  expect((await jsonOf(at('append', 'lines'), { input: 'three\n' }))[0]).toMatchObject({ records: 1 })
})

test('a second writer is told who holds the store', async () => {
  const at = inStore(temporaryDirectory())
  await jsonOf(at('create', 'lines'))
  const writer = startCommand(at('append', 'lines'))
  writer.stdin?.write('one\n')
  const follower = startCommand(at('read', 'lines', '--follow'))
  await firstOutput(follower)
  const second = await runCommand(at('append', 'lines'), { input: 'two\n' })
  expect(second.code).toBe(1)
  expect(second.stderr).toMatch(
    new RegExp(`^varve: The process ${writer.pid} has .* open for writing. End it first.$`, 'm'),
  )
  follower.kill('SIGINT')
  writer.stdin?.end()
  await Promise.all([outcomeOf(follower), outcomeOf(writer)])
})

function filesUnder(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .map((name) => join(directory, name))
    .filter((path) => statSync(path).isFile())
}

test('verify finds a flipped bit, dump shows every file of a store', async () => {
  const directory = temporaryDirectory()
  const at = inStore(directory)
  await jsonOf(at('create', 'lines', '--config', 'segmentBytes=20000'))
  const input = Array.from({ length: 1000 }, (_, n) => `k${n % 7}:${'value '.repeat(12)}${n}`).join('\n')
  await jsonOf(at('append', 'lines', '--key-separator', ':'), { input })
  expect(await runCommand(at('verify', '--deep'))).toEqual({ code: 0, stdout: 'No fault found.\n', stderr: '' })

  const files = filesUnder(join(directory, 'store')).filter((path) => !/\/(lock|reserve)$/.test(path))
  const kinds = new Set(files.map((path) => /[^./]*$/.exec(path)?.[0]))
  for (const kind of ['log', 'index', 'timeindex', 'varve', 'catalog', 'identity', 'journal', 'metadata']) {
    expect.soft(kinds).toContain(kind)
  }
  const shown = await runCommand(['dump', '--records', ...files])
  expect(shown).toMatchObject({ code: 0, stderr: '' })
  for (const path of files) expect.soft(shown.stdout).toContain(`file ${path}\n`)
  const types = new Set((await jsonOf(['dump', '--records', ...files])).map(({ type }) => type))
  for (const type of ['batch', 'record', 'entry', 'sidecar', 'topic', 'partition', 'leaderEpoch', 'close', 'segment']) {
    expect.soft(types).toContain(type)
  }
  const sidecar = files.find((path) => path.endsWith('.varve')) ?? ''
  const counts = (await jsonOf(['dump', sidecar])).filter(({ type }) => type === 'keyIndex')
  const keys = (await jsonOf(['dump', '--records', sidecar])).filter(({ type }) => type === 'key')
  expect(counts).toMatchObject([{ type: 'keyIndex', entries: keys.length, tombstones: 0 }])
  expect(new Set(keys.map(({ identity }) => identity)).size).toBe(7)
  expect(keys[0]).toMatchObject({ isTombstone: false, recordSize: expect.any(Number) })

  const log = files.find((path) => path.endsWith('.log')) ?? ''
  const rows = await jsonOf(['dump', '--records', log])
  expect(rows.filter(({ type }) => type === 'record')[0]).toMatchObject({ offset: 0, key: 'k0', valueSize: 73 })
  const bytes = readFileSync(log)
  bytes[bytes.length >> 1]! ^= 4
  writeFileSync(log, bytes)
  const found = await runCommand(at('verify', '--deep'))
  expect(found.code).toBe(1)
  expect(found.stdout).toContain('CORRUPT log/lines-0/00000000000000000000.log')
  const dumped = await runCommand(['dump', log])
  expect(dumped).toMatchObject({ code: 1, stdout: expect.stringMatching(/^fault: .*bad-checksum$/m) })
})

test('a checkpoint is a store of its own', async () => {
  const directory = temporaryDirectory()
  const at = inStore(directory)
  await jsonOf(at('append', 'lines', '--create'), { input: 'one\ntwo\n' })
  const copy = join(directory, 'copy')
  await jsonOf(at('checkpoint', copy))
  await jsonOf(at('append', 'lines'), { input: 'three\n' })
  const records = await jsonOf(['--dir', copy, 'read', 'lines'])
  expect(records.map(({ value }) => value)).toEqual(['one', 'two'])
  const [stats] = await jsonOf(['--dir', copy, 'stats'])
  expect(stats).toMatchObject({ local: { segments: 1 } })
  expect((await runCommand(['--dir', copy, 'stats'])).stdout).toMatch(/^local\.segments +1$/m)
})

test('a checkpoint for Kafka is a log directory, and adopt makes a store of it', async () => {
  const directory = temporaryDirectory()
  const at = inStore(directory)
  await jsonOf(at('append', 'lines', '--create'), { input: 'one\ntwo\n' })
  const kafka = join(directory, 'kafka')
  await jsonOf(at('checkpoint', kafka, '--kafka'))
  expect(readdirSync(join(kafka, 'lines-0'))).toEqual(expect.arrayContaining(['00000000000000000000.log']))
  const refused = await runCommand(['--dir', kafka, 'read', 'lines'])
  expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('varve adopt')])
  const [adopted] = await jsonOf(['--dir', kafka, 'adopt'])
  expect(adopted).toMatchObject({ topics: 1, partitions: 1, truncatedBytes: 0, warnings: [] })
  const records = await jsonOf(['--dir', kafka, 'read', 'lines'])
  expect(records.map(({ value }) => value)).toEqual(['one', 'two'])
  expect((await runCommand(['--dir', kafka, 'adopt'])).stdout).toMatch(/is a store: 1 topics? with 1 partitions?/)
})

test('segments are copied to the bucket that --tier names, which is checked before anything is made', async () => {
  const directory = temporaryDirectory()
  const at = inStore(directory)
  const tier = ['--tier', `file://${join(directory, 'bucket')}`]
  const wrong = await runCommand(at('--tier', 'ftp://host/a', 'create', 'lines'))
  expect(wrong).toMatchObject({ code: 2, stdout: '' })
  expect(wrong.stderr).toMatch(/^varve: tier must be 's3:\/\/bucket\/prefix'/)
  expect(readdirSync(directory)).toEqual([])
  await runCommand(at('create', 'lines', '--config', 'segmentBytes=20KiB'))
  const input = Array.from({ length: 3000 }, (_, n) => `line ${n}\n`).join('')
  await runCommand(at('append', 'lines'), { input })
  expect(await runCommand(at('offload'))).toMatchObject({ code: 2, stderr: expect.stringContaining('--tier') })
  const copied = await runCommand(at(...tier, 'offload', 'lines', '--force'))
  expect(copied).toMatchObject({ code: 0, stderr: '' })
  expect(copied.stdout).toMatch(/^lines: \d+ segments? copied, /)
  expect(await jsonOf(at(...tier, 'offload'))).toEqual([{ topic: 'lines', segments: 0, bytes: 0 }])
  const [described] = await jsonOf(at('describe', 'lines'))
  expect(JSON.stringify(described)).toContain('"tier":"both"')
  const other = inStore(join(directory, 'other'))
  await runCommand(other('create', 'lines'))
  const refused = await runCommand(other(...tier, 'offload', 'lines'))
  expect(refused).toMatchObject({ code: 2, stdout: '' })
  expect(refused.stderr).toMatch(/belongs to another store/)
  const away = await runCommand(at('--tier', `file://${join(directory, 'no', 'such')}`, 'offload', 'lines'))
  expect(away.code).toBe(1)
})
