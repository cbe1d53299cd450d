/**
 * The second half of the demo: the log is cleaned, and what is left must be the tree of HEAD.
 *
 * Owns     its steps. The first pass keeps tombstones and gives them their time to go, which is at once in this topic;
 *          the second drops them.
 * Holds    git is the judge of all three ways to the newest records: `latest()`, `get()` of every path, and a scan
 *          of the whole log, which has no record of a path that HEAD does not have.
 */
import type { Store } from '../base/api-store.ts'
import type { RawTopic } from '../base/api-topic.ts'
import { openStore } from '../store.ts'
import { compareLookups, headPaths, pathText, ReplayedTree, shownPath } from './git-tree.ts'
import type { Repository } from './git.ts'
import { bytesText, count, counted, durationText } from './output.ts'
import type { Narrator } from './narrator.ts'
import type { Session } from './session.ts'
import { faultsOf } from './verify.ts'

/** Cleans the topic, opens the store again and compares; answers the differences. */
export async function cleanSteps(
  session: Session,
  narrator: Narrator,
  repository: Repository,
  directory: string,
  name: string,
): Promise<readonly string[]> {
  const { signal } = session
  {
    await using store = await openStore(directory, { create: false, signal })
    await clean(session, narrator, await store.topic(name))
  }
  await using store = await openStore(directory, { create: false, signal })
  const topic = await store.topic(name)
  return [
    ...(await faultsStep(session, narrator, store)),
    ...(await latestStep(session, narrator, repository, topic)),
    ...(await getStep(session, narrator, repository, topic)),
    ...(await remainsStep(session, narrator, repository, topic)),
  ]
}

async function clean(session: Session, narrator: Narrator, topic: RawTopic): Promise<void> {
  const { signal } = session
  const bytesBefore = bytesOf(topic)
  const { result, ms } = await session.timed(async () => {
    using _ = session.progress(() => `cleaning, ${bytesText(bytesOf(topic))} in the log`)
    const first = await topic.clean({ force: true, signal })
    return { first, second: await topic.clean({ force: true, signal }) }
  })
  const bytesAfter = bytesOf(topic)
  const { readRecords } = result.first
  const { keptRecords } = result.second
  const what = `${counted(readRecords, 'record')} read, ${count(keptRecords)} kept`
  const sizes = `${bytesText(bytesBefore)} before, ${bytesText(bytesAfter)} after`
  await narrator.step(
    'clean',
    { readRecords, keptRecords, bytesBefore, bytesAfter, ms },
    `${what}; ${sizes}, in ${durationText(ms)}`,
  )
}

function bytesOf(topic: RawTopic): number {
  return topic
    .partition(0)
    .segments()
    .reduce((sum, { bytes }) => sum + bytes, 0)
}

async function faultsStep(session: Session, narrator: Narrator, store: Store): Promise<readonly string[]> {
  const { result: faults, ms } = await session.timed(() => faultsOf(session, store))
  const text = `${counted(faults.length, 'fault')} in the files, in ${durationText(ms)}`
  await narrator.step('recheck', { faults: faults.length, ms }, text)
  return faults
}

async function latestStep(
  session: Session,
  narrator: Narrator,
  repository: Repository,
  topic: RawTopic,
): Promise<readonly string[]> {
  const tree = new ReplayedTree(repository.hash)
  const { result, ms } = await session.timed(async () => {
    using _ = session.progress(() => `${count(tree.records)} newest records read`)
    for await (const record of topic.latest({ signal: session.signal })) tree.apply(record)
    return await tree.compare(repository)
  })
  const doubles = tree.records - tree.size
  const differences = doubles === 0 ? [] : [`latest() gave ${counted(doubles, 'path')} more than once`]
  return judged(narrator, 'latest', result.paths, [...differences, ...result.differences], ms)
}

async function getStep(
  session: Session,
  narrator: Narrator,
  repository: Repository,
  topic: RawTopic,
): Promise<readonly string[]> {
  const { signal } = session
  let paths = 0
  const { result, ms } = await session.timed(async () => {
    using _ = session.progress(() => `${counted(paths, 'path')} looked up`)
    return await compareLookups(repository, (path) => {
      paths++
      return topic.get(path, { signal })
    })
  })
  return judged(narrator, 'get', result.paths, result.differences, ms)
}

/** What the log still holds, whoever looks. */
async function remainsStep(
  session: Session,
  narrator: Narrator,
  repository: Repository,
  topic: RawTopic,
): Promise<readonly string[]> {
  const differences: string[] = []
  let records = 0
  const { ms } = await session.timed(async () => {
    const paths = await headPaths(repository)
    using _ = session.progress(() => `${counted(records, 'record')} looked at`)
    for await (const batch of topic.read({ from: 'earliest', until: 'end', signal: session.signal }).batches()) {
      records += batch.length
      for (let i = 0; i < batch.length; i++) {
        const path = pathText(batch.keyAt(i) ?? new Uint8Array(0))
        if (paths.has(path)) continue
        differences.push(`${shownPath(path)}: git does not have it, a record of it is left at ${batch.offsetAt(i)}`)
      }
    }
  })
  return judged(narrator, 'remains', records, differences, ms, 'record')
}

async function judged(
  narrator: Narrator,
  step: string,
  looked: number,
  differences: readonly string[],
  ms: number,
  noun: string = 'path',
): Promise<readonly string[]> {
  const text = `${counted(looked, noun)}, ${counted(differences.length, 'difference')}, in ${durationText(ms)}`
  await narrator.step(step, { [`${noun}s`]: looked, differences: differences.length, ms }, text)
  return differences
}
