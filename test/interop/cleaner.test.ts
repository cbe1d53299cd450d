/**
 * Kafka's own cleaner and ours make the same of the same log, round after round, also of what the other one left; and
 * DumpLogSegments finds nothing wrong with it.
 */
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { initHashes } from '../../src/base/xxh64.ts'
import { TransactionIndex, type AbortedTransaction } from '../../src/index/transaction-index.ts'
import { CODEC_NONE } from '../../src/segment/batch-format.ts'
import { segmentFileName } from '../../src/segment/segment-files.ts'
import { decodeBatches, plainOf } from '../support/cleaner-bytes.ts'
import { CleanerLife, RETENTION_MS } from '../support/cleaner-life.ts'
import { lifeSteps } from '../support/cleaner-steps.ts'
import { dumpableFiles, dumpVerdict } from '../support/kafka-dump.ts'
import { JAVA_FLAGS, kafkaClassPath } from '../support/kafka.ts'

const LIVES = Number(process.env['VARVE_MODEL_RUNS'] ?? 60)
const DUMPED = 10
const ROUNDS = 3
const root = mkdtempSync(join(tmpdir(), 'varve-cleaner-'))
let cleaner: Cleaner

beforeAll(async () => {
  await initHashes()
  cleaner = await Cleaner.start()
}, 120_000)

afterAll(() => {
  cleaner.stop()
  rmSync(root, { recursive: true, force: true })
})

/** `test/interop/Cleaner.java` as a process. */
class Cleaner {
  readonly #child
  readonly #answers: AsyncIterator<string>

  private constructor(classPath: string) {
    const source = fileURLToPath(new URL('./Cleaner.java', import.meta.url))
    const args = ['-Xmx512m', ...JAVA_FLAGS, '-cp', classPath, source]
    this.#child = spawn('java', args, { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#answers = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]()
  }

  static async start(): Promise<Cleaner> {
    return new Cleaner(await kafkaClassPath())
  }

  async clean(directory: string, dirtyOffset: number, endOffset: number, now: number): Promise<number> {
    this.#child.stdin.write(`${directory} ${dirtyOffset} ${endOffset} ${now} ${RETENTION_MS}\n`)
    const { value, done } = await this.#answers.next()
    if (done === true || value.startsWith('!'))
      throw new Error(`Kafka's cleaner: ${done === true ? 'it ended' : value}`)
    return Number(value)
  }

  stop(): void {
    this.#child.stdin.end()
  }
}

function writeLog(life: CleanerLife, directory: string): void {
  mkdirSync(directory)
  for (const segment of life.segments) {
    writeFileSync(join(directory, segmentFileName(segment.baseOffset, 'log')), segment.bytes)
  }
}

/** The bytes of all segments in a directory. */
function readLog(directory: string): Uint8Array<ArrayBuffer> {
  const names = readdirSync(directory).filter((name) => name.endsWith('.log'))
  return new Uint8Array(Buffer.concat(names.sort().map((name) => readFileSync(join(directory, name)))))
}

/**
 * Which transactions the cleaned part says are aborted. Where they begin is told anew by recovery, when their first
 * batch is gone; and behind the cleaned part recovery finds none whose batches are.
 */
function abortedBelow(endOffset: number, aborted: readonly AbortedTransaction[]): object[] {
  const cleaned = aborted.filter(({ lastOffset }) => lastOffset < endOffset)
  return cleaned.map(({ producerId, lastOffset }) => ({ producerId, lastOffset }))
}

function readAborted(directory: string): AbortedTransaction[] {
  const names = readdirSync(directory).filter((name) => name.endsWith('.txnindex'))
  const files = names.sort().map((name) => readFileSync(join(directory, name)))
  return files.flatMap((bytes) => TransactionIndex.decode(bytes, 0, 2 ** 40)!.entries)
}

/** What a log says, and the bytes of what nobody compressed. */
function contentOf(bytes: Uint8Array<ArrayBuffer>): object[] {
  return decodeBatches(bytes).map((batch) => ({
    ...plainOf(batch),
    hex: batch.codec === CODEC_NONE ? Buffer.from(batch.bytes!).toString('hex') : null,
  }))
}

it(
  `${LIVES} logs are the same after each of ${ROUNDS} rounds`,
  async () => {
    const plans = fc.sample(lifeSteps(false), { numRuns: LIVES, seed: Number(process.env['VARVE_SEED'] ?? 5) })
    let [rounds, dropped] = [0, 0]
    for (const [index, plan] of plans.entries()) {
      const life = new CleanerLife()
      life.now = Date.now()
      for (const step of plan) await life.step(step)
      life.roll()
      for (let round = 0; round < ROUNDS; round++) {
        const { segmentCount, endOffset } = life.plan()
        if (segmentCount === 0) break
        // Kafka takes what we left in the round before; where nothing is new it would do nothing, so it calls all dirty.
        const directory = join(root, `log${index}x${round}-0`)
        writeLog(life, directory)
        expect(await cleaner.clean(directory, 0, endOffset, life.now)).toBe(endOffset)
        await life.clean({ kind: 'clean', mapBytes: 1 << 16, windowBytes: 4096, share: 0, provesShare: 0 })
        const ours = new Uint8Array(Buffer.concat(life.segments.map((segment) => segment.bytes)))
        const theirs = readLog(directory)
        expect([index, round, contentOf(theirs)]).toEqual([index, round, contentOf(ours)])
        const aborted = life.segments.flatMap((segment) => segment.aborted)
        expect(abortedBelow(endOffset, readAborted(directory))).toEqual(abortedBelow(endOffset, aborted))
        // And every other time we take what it left.
        if (index % 2 === 1) life.takeCleaned(readFileSync(join(directory, segmentFileName(0, 'log'))), endOffset)
        rounds++
        life.now += RETENTION_MS
      }
      dropped += life.counts.dropped
      if (index < DUMPED) writeLog(life, join(root, `ours${index}-0`))
    }
    expect(rounds).toBeGreaterThan(2 * LIVES)
    expect(dropped).toBeGreaterThan(5 * LIVES)
  },
  150_000 + LIVES * 500,
)

it('DumpLogSegments finds nothing in them but the gaps', async () => {
  const files = Array.from({ length: DUMPED }, (_, index) => dumpableFiles(join(root, `ours${index}-0`))).flat()
  const { complaints, batches, records } = await dumpVerdict(files)
  expect(complaints.filter((line) => !/^ *\d+ is followed by \d+$|^Non-consecutive offsets in/.test(line))).toEqual([])
  const ours = files.flatMap((file) => decodeBatches(new Uint8Array(readFileSync(file))))
  expect([batches, records]).toEqual([ours.length, ours.flatMap((batch) => batch.records).length])
}, 60_000)
