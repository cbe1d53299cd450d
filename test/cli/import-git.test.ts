/**
 * Import and demo, with git as the judge.
 */
import { createHash } from 'node:crypto'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as soon } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { openStore } from '../../src/varve.ts'
import type { NewRecord } from '../../src/varve.ts'
import { ReplayedTree } from '../../src/cli/git-tree.ts'
import { openRepository } from '../../src/cli/git.ts'
import { commit, generateRepository, git, temporaryDirectory } from '../support/cli-directories.ts'
import { collected } from '../support/collected.ts'
import { jsonOf, outcomeOf, runCommand, startCommand } from '../support/run-command.ts'

type RawRecord = NewRecord<Uint8Array | null, Uint8Array>

/** The topic's records, as they could be appended again. */
async function recordsOf(store: string, topic = 'history'): Promise<RawRecord[]> {
  await using opened = await openStore(store, { mode: 'read-only' })
  const records = await collected((await opened.topic(topic)).read())
  return records.map(({ key, value, timestamp, headers }) => ({ key, value, timestamp, headers }))
}

/** The topic's records, each as one short text: values by their hash. */
async function digestOf(store: string): Promise<readonly string[]> {
  const hex = (bytes: Uint8Array | null | undefined): string => Buffer.from(bytes ?? []).toString('hex')
  return (await recordsOf(store)).map(({ key, value, timestamp, headers }) => {
    const hash = value === null ? 'null' : createHash('sha1').update(value).digest('hex')
    const list = (headers as readonly (readonly [string, Uint8Array])[]).map(([name, held]) => `${name}=${hex(held)}`)
    return `${hex(key)} ${hash} ${timestamp} ${list.join(' ')}`
  })
}

/** Replays the topic and answers what differs from git. */
async function differences(store: string, directory: string): Promise<readonly string[]> {
  const repository = await openRepository(directory)
  const tree = new ReplayedTree(repository.hash)
  await using opened = await openStore(store, { mode: 'read-only' })
  for await (const record of (await opened.topic('history')).read()) tree.apply(record)
  return (await tree.compare(repository)).differences
}

const importing = (store: string, repository: string): string[] => {
  return ['--dir', store, 'import-git', repository, '--topic', 'history']
}

for (const objectFormat of ['sha1', 'sha256'] as const) {
  test(`the demo ends in verified (${objectFormat})`, async () => {
    const repository = generateRepository({ objectFormat })
    const run = await runCommand(['demo'], { cwd: repository })
    expect(run).toMatchObject({ code: 0, stderr: '' })
    expect(run.stdout.trimEnd().split('\n').at(-1)).toBe('verified')
    const [report] = await jsonOf(['demo', repository])
    const tree = git(repository, ['ls-tree', '-r', '-z', 'HEAD']).split('\0').filter(Boolean)
    expect(report).toMatchObject({ verified: true, differences: [], steps: { compare: { paths: tree.length } } })
  })
}

test('the demo explains itself where there is no repository', async () => {
  const run = await runCommand(['demo'], { cwd: temporaryDirectory(), env: { GIT_CEILING_DIRECTORIES: '/' } })
  expect(run).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('varve demo PATH') })
})

test('importing again appends what is new and nothing else', async () => {
  const repository = generateRepository({ commits: 200 })
  const store = join(temporaryDirectory(), 'store')
  const head = git(repository, ['rev-parse', 'HEAD'])
  git(repository, ['update-ref', 'refs/heads/main', 'HEAD~60'])
  const [first] = await jsonOf(importing(store, repository))
  expect(await differences(store, repository)).toEqual([])
  expect(await jsonOf(importing(store, repository))).toMatchObject([
    { records: 0, commits: 0, previous: first?.['head'] },
  ])
  git(repository, ['update-ref', 'refs/heads/main', head])
  const [second] = await jsonOf(importing(store, repository))
  expect(second).toMatchObject({ head, previous: first?.['head'], commits: 60 })
  expect(await differences(store, repository)).toEqual([])

  const whole = join(temporaryDirectory(), 'store')
  await jsonOf(importing(whole, repository))
  expect(await digestOf(store)).toEqual(await digestOf(whole))
  const empty = commit(repository, [head], {})
  git(repository, ['update-ref', 'refs/heads/main', empty])
  expect(await jsonOf(importing(store, repository))).toMatchObject([{ head: empty, records: 0 }])
})

test('a record tells its commit, its mode and its time', async () => {
  const repository = generateRepository({ commits: 120 })
  const store = join(temporaryDirectory(), 'store')
  await jsonOf(importing(store, repository))
  const records = await jsonOf(['--dir', store, 'read', 'history'])
  const lines = git(repository, ['rev-list', '--first-parent', '--timestamp', 'HEAD']).split('\n')
  const seconds = new Map(lines.map((line) => [line.split(' ')[1], Number(line.split(' ')[0])]))
  for (const { timestamp, headers } of records) {
    const { commit: id = '', mode = '' } = Object.fromEntries(headers as [string, string][])
    expect(timestamp).toBe((seconds.get(id) ?? NaN) * 1000)
    expect(mode).toMatch(/^(100644|100755|120000|160000|000000)$/)
  }
  const gitlink = records.findLast(({ key }) => key === 'vendor/module')
  expect(gitlink?.['value']).toBe(git(repository, ['rev-parse', 'HEAD:vendor/module']))
  const gone = records.findLast(({ key }) => key === 'vendor/gone')
  expect(gone).toMatchObject({ value: null, headers: expect.arrayContaining([['mode', '000000']]) })
  const link = records.find(({ key, value }) => key === 'link' && typeof value === 'string')
  expect(link).toMatchObject({ value: 'with space/a file .txt' })
})

test('an import that was cut off anywhere is completed', async () => {
  const repository = generateRepository({ commits: 60 })
  const store = join(temporaryDirectory(), 'store')
  await jsonOf(importing(store, repository))
  const records = await recordsOf(store)
  const digest = await digestOf(store)
  for (const length of [1, 9, 20, 21, records.length - 1]) {
    const cut = join(temporaryDirectory(), 'store')
    {
      await using opened = await openStore(cut)
      const config = { maxMessageBytes: '64MiB', messageTimestampAfterMaxMs: Number.MAX_SAFE_INTEGER } as const
      const topic = await opened.topic('history', { create: 'must', config })
      await topic.appendMany(records.slice(0, length))
    }
    const [report] = await jsonOf(importing(cut, repository))
    expect(report).toMatchObject({ records: records.length - length })
    expect(await digestOf(cut)).toEqual(digest)
  }
})

test('an import that was killed is completed', async () => {
  const repository = generateRepository({ commits: 1000 })
  const store = join(temporaryDirectory(), 'store')
  const log = join(store, 'log', 'history-0', '00000000000000000000.log')
  const child = startCommand(importing(store, repository))
  const ended = outcomeOf(child)
  while (child.exitCode === null && (statSync(log, { throwIfNoEntry: false })?.size ?? 0) === 0) await soon(5)
  child.kill('SIGKILL')
  await ended
  await jsonOf(importing(store, repository))
  const whole = join(temporaryDirectory(), 'store')
  await jsonOf(importing(whole, repository))
  expect(await digestOf(store)).toEqual(await digestOf(whole))
})

test('a rewritten history is refused with both ids', async () => {
  const repository = generateRepository({ commits: 60 })
  const store = join(temporaryDirectory(), 'store')
  await jsonOf(importing(store, repository))
  const digest = await digestOf(store)
  const head = git(repository, ['rev-parse', 'HEAD'])
  const other = commit(repository, [git(repository, ['rev-parse', 'HEAD~2'])], { rewritten: 'yes' })
  git(repository, ['update-ref', 'refs/heads/main', other])
  const run = await runCommand(importing(store, repository))
  expect(run).toMatchObject({ code: 1, stdout: '' })
  expect(run.stderr).toContain(head)
  expect(run.stderr).toContain(other)
  expect(await digestOf(store)).toEqual(digest)
})

test('a blob that does not fit is named before anything is written', async () => {
  const repository = generateRepository({ commits: 60 })
  const store = join(temporaryDirectory(), 'store')
  const run = await runCommand([...importing(store, repository), '--config', 'maxMessageBytes=1MiB'])
  expect(run).toMatchObject({ code: 1, stdout: '' })
  expect(run.stderr).toMatch(/big\.bin in commit [0-9a-f]{40} has 3 145 728 bytes/)
  expect(await recordsOf(store)).toEqual([])
})

test('a shallow clone is imported, and said to be one', async () => {
  const repository = generateRepository({ commits: 60 })
  const clone = join(temporaryDirectory(), 'clone')
  git(repository, ['clone', '-q', '--depth', '5', `file://${repository}`, clone])
  const store = join(temporaryDirectory(), 'store')
  const run = await runCommand(importing(store, clone))
  expect(run).toMatchObject({ code: 0, stderr: expect.stringContaining('is a shallow clone') })
  expect(await differences(store, clone)).toEqual([])
})

test('records that no import wrote are refused', async () => {
  const store = join(temporaryDirectory(), 'store')
  await jsonOf(['--dir', store, 'append', 'history', '--create'], { input: 'a line\n' })
  const run = await runCommand(importing(store, generateRepository({ commits: 30 })))
  expect(run).toMatchObject({ code: 1, stderr: expect.stringContaining('no git import wrote') })
})

test('a history needs one partition', async () => {
  const store = join(temporaryDirectory(), 'store')
  await jsonOf(['--dir', store, 'create', 'history', '--partitions', '2'])
  const run = await runCommand(importing(store, generateRepository({ commits: 30 })))
  expect(run).toMatchObject({ code: 2, stderr: expect.stringContaining('2 partitions') })
})

test('the comparison tells a wrong byte, a wrong mode, a missing and a surplus path', async () => {
  const repository = await openRepository(generateRepository({ commits: 60 }))
  const store = join(temporaryDirectory(), 'store')
  await jsonOf(importing(store, repository.directory))
  await using opened = await openStore(store, { mode: 'read-only' })
  const records = await collected((await opened.topic('history')).read())
  const replayed = (change: (tree: ReplayedTree) => void): ReplayedTree => {
    const tree = new ReplayedTree(repository.hash)
    records.forEach((record) => tree.apply(record))
    change(tree)
    return tree
  }
  const script = records.findLast((record) => Buffer.from(record.key ?? []).toString() === 'run.sh')!
  const plain = [['mode', Buffer.from('100644')]] as const
  const changes = {
    'run.sh: git has 100755': { ...script, value: Buffer.from('#!/bin/sh\nfalse\n') },
    'run.sh: git has 100755 ': { ...script, headers: plain },
    'run.sh: git has': { ...script, value: null },
    'other.sh: the log has': { ...script, key: Buffer.from('other.sh') },
  }
  for (const [message, record] of Object.entries(changes)) {
    const result = await replayed((tree) => tree.apply(record)).compare(repository)
    expect(result.differences).toEqual([expect.stringContaining(message.trim())])
  }
  expect((await replayed(() => undefined).compare(repository)).differences).toEqual([])
})
