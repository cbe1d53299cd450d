/**
 * The stream of changes against git itself: applied in order, it gives `git ls-tree`, wherever it starts.
 */
import { expect, test } from 'vitest'
import { createHash } from 'node:crypto'
import { withSizes, withValues } from '../../src/cli/git-blobs.ts'
import { changesOf, compareBytes, rangeAfter } from '../../src/cli/git-history.ts'
import type { Change, Imported } from '../../src/cli/git-history.ts'
import { descends, findRepository, openRepository } from '../../src/cli/git.ts'
import type { Repository } from '../../src/cli/git.ts'
import { commit, generateRepository, git, temporaryDirectory } from '../support/cli-directories.ts'
import { collected } from '../support/collected.ts'

const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')

async function changes(repository: Repository, after?: Imported): Promise<Change[]> {
  return collected(changesOf(await rangeAfter(repository, after)))
}

/** `mode id` by path, as git sees a commit. */
function treeOf(repository: Repository, commitId: string): Map<string, string> {
  const lines = git(repository.directory, ['ls-tree', '-r', '-z', '--full-tree', commitId]).split('\0')
  return new Map(
    lines.filter(Boolean).map((line) => {
      const [mode = '', , id = ''] = line.slice(0, line.indexOf('\t')).split(' ')
      return [line.slice(line.indexOf('\t') + 1), `${mode} ${id}`]
    }),
  )
}

function apply(tree: Map<string, string>, list: readonly Change[]): Map<string, string> {
  for (const { path, mode, id } of list) {
    if (id === null) tree.delete(latin1(path))
    else tree.set(latin1(path), `${mode} ${id}`)
  }
  return tree
}

const sorted = (tree: Map<string, string>): unknown => [...tree].toSorted(([a], [b]) => (a < b ? -1 : 1))

for (const objectFormat of ['sha1', 'sha256'] as const) {
  test(`values give the ids that git has for HEAD (${objectFormat})`, async () => {
    const repository = await openRepository(generateRepository({ objectFormat }))
    expect(repository.hash).toBe(objectFormat)
    const tree = new Map<string, string>()
    let sizes = 0
    for await (const { sizeBytes } of withSizes(repository, changesOf(await rangeAfter(repository, undefined)))) {
      sizes += sizeBytes ?? 0
    }
    for await (const { change, value } of withValues(repository, changesOf(await rangeAfter(repository, undefined)))) {
      sizes -= value?.byteLength ?? 0
      const path = latin1(change.path)
      const hash = createHash(objectFormat)
        .update(`blob ${value?.byteLength}\0`)
        .update(value ?? '')
        .digest('hex')
      if (value === null) tree.delete(path)
      else tree.set(path, `${change.mode} ${change.mode === '160000' ? latin1(value) : hash}`)
    }
    expect(sizes).toBe(0)
    expect(sorted(tree)).toEqual(sorted(treeOf(repository, repository.head)))
    const paths = [...tree.keys()]
    expect(paths).toContain('caf\xe9-latin1.txt')
    expect(paths).toContain('new\nline/in\nname.txt')
    const modes = new Set([...tree.values()].map((entry) => entry.slice(0, 6)))
    expect(modes).toEqual(new Set(['100644', '100755', '120000', '160000']))
  })
}

test('a stream goes on behind any record of any commit', async () => {
  const repository = await openRepository(generateRepository({ commits: 120 }))
  const all = await changes(repository)
  for (let length = 1; length <= all.length; length += 7) {
    const last = all[length - 1]!
    const before = all.slice(0, length).findLast((change) => change.commit !== last.commit)
    const rest = await changes(repository, { commit: last.commit, path: last.path, base: before?.commit })
    expect(rest).toEqual(all.slice(length))
  }
})

test('within a commit paths rise by their bytes', async () => {
  const repository = await openRepository(generateRepository({ commits: 120 }))
  const all = await changes(repository)
  const falls = all.filter((change, place) => {
    const previous = all[place - 1]
    return previous?.commit === change.commit && compareBytes(previous.path, change.path) >= 0
  })
  expect(falls).toEqual([])
})

test('an import that stopped on a side line goes on over the merge that took it in', async () => {
  const directory = temporaryDirectory()
  git(directory, ['init', '--quiet', '--bare', '--initial-branch=main'])
  const root = commit(directory, [], { a: '1', b: '1' })
  const side = commit(directory, [root], { a: 'side', c: 'side' })
  const main = commit(directory, [root], { b: 'main', d: 'main' })
  const merge = commit(directory, [main, side], { a: 'side', c: 'side' })
  const after = commit(directory, [merge], { e: 'after', b: null })
  git(directory, ['update-ref', 'refs/heads/main', after])
  const repository = await openRepository(directory)
  const last = { commit: side, path: Buffer.from('c'), base: root }
  const rest = await changes(repository, last)
  expect(rest.map((change) => change.commit)).toEqual([merge, merge, after, after])
  expect(sorted(apply(treeOf(repository, side), rest))).toEqual(sorted(treeOf(repository, after)))
})

test('HEAD descends from a commit, or not, or the commit is unknown', async () => {
  const repository = await openRepository(generateRepository({ commits: 60 }))
  const parent = git(repository.directory, ['rev-parse', 'HEAD~3'])
  const other = commit(repository.directory, [parent], { other: 'line' })
  expect(await descends(repository, parent, repository.head)).toBe(true)
  expect(await descends(repository, repository.head, repository.head)).toBe(true)
  expect(await descends(repository, other, repository.head)).toBe(false)
  expect(await descends(repository, 'f'.repeat(40), repository.head)).toBeUndefined()
})

test('the variables of a hook do not lead to another repository', async () => {
  const one = generateRepository({ commits: 30 })
  const other = generateRepository({ commits: 31 })
  process.env['GIT_DIR'] = other
  try {
    const found = await findRepository(one)
    delete process.env['GIT_DIR']
    expect(found?.head).toBe(git(one, ['rev-parse', 'HEAD']))
    expect(found?.head).not.toBe(git(other, ['rev-parse', 'HEAD']))
  } finally {
    delete process.env['GIT_DIR']
  }
})

test('what is no repository, or an empty one, is said', async () => {
  const directory = temporaryDirectory()
  expect(await findRepository(directory)).toBeUndefined()
  await expect(openRepository(directory)).rejects.toThrow(/is not a git repository/)
  git(directory, ['init', '--quiet', '--bare'])
  expect(await findRepository(directory)).toBeUndefined()
  await expect(openRepository(directory)).rejects.toThrow(/no commit yet/)
})

test('a stream that is left early ends its processes', async () => {
  const repository = await openRepository(generateRepository({ commits: 300 }))
  const stream = withValues(repository, changesOf(await rangeAfter(repository, undefined)))
  for await (const { change } of stream) {
    expect(change.commit).toMatch(/^[0-9a-f]{40}$/)
    break
  }
})

test('a blob that is missing is named', async () => {
  const directory = temporaryDirectory()
  git(directory, ['init', '--quiet', '--bare', '--initial-branch=main'])
  const blob = git(directory, ['hash-object', '-w', '--stdin'], 'gone')
  const head = commit(directory, [], { 'some file': 'gone' })
  git(directory, ['update-ref', 'refs/heads/main', head])
  const { rmSync } = await import('node:fs')
  rmSync(`${directory}/objects/${blob.slice(0, 2)}/${blob.slice(2)}`)
  const repository = await openRepository(directory)
  const stream = withSizes(repository, changesOf(await rangeAfter(repository, undefined)))
  await expect(collected(stream)).rejects.toThrow(`some file in commit ${head} (${blob}): missing`)
})
