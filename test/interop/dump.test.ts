/** Kafka's DumpLogSegments finds nothing wrong with the files of a store of ours, and does find what we break. */
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { dumpableFiles, dumpVerdict } from '../support/kafka-dump.ts'
import { writeStore, type WrittenPartition } from '../support/kafka-hand-over.ts'

const root = mkdtempSync(join(tmpdir(), 'varve-dump-'))
let written: WrittenPartition[]

beforeAll(async () => {
  written = await writeStore(join(root, 'store'))
}, 120_000)

afterAll(() => rmSync(root, { recursive: true, force: true }))

function partitionsOf(codec: string): WrittenPartition[] {
  return written.filter((partition) => partition.codec === codec)
}

describe('DumpLogSegments', () => {
  for (const codec of ['none', 'gzip', 'zstd']) {
    it(`finds no mismatch in logs and indexes written with ${codec}`, async () => {
      const partitions = partitionsOf(codec)
      const verdict = await dumpVerdict(partitions.flatMap(({ directory }) => dumpableFiles(directory)))
      expect(verdict.complaints).toEqual([])
      expect(verdict.records).toBe(partitions.reduce((sum, { lines }) => sum + lines.length, 0))
      expect(verdict.codecs).toContain(codec)
      expect(verdict.indexEntries).toBeGreaterThan(10)
      expect(verdict.timeIndexEntries).toBeGreaterThan(10)
    })
  }

  it('complains of a flipped bit and of an index entry that points elsewhere', async () => {
    const [partition] = partitionsOf('none')
    const broken = join(root, 'broken')
    mkdirSync(broken)
    const files = dumpableFiles(partition?.directory ?? '').filter((file) => /0{20}\.(log|index)$/.test(file))
    const [index, log] = files.map((file) => join(broken, basename(file)))
    files.forEach((file) => copyFileSync(file, join(broken, basename(file))))
    expect((await dumpVerdict([log ?? '', index ?? ''])).complaints).toEqual([])

    flip(log ?? '', 2_000)
    expect((await dumpVerdict([log ?? ''])).complaints).not.toEqual([])
    flip(log ?? '', 2_000)
    flip(index ?? '', 3)
    expect((await dumpVerdict([log ?? '', index ?? ''])).complaints).not.toEqual([])
  })
})

function flip(path: string, position: number): void {
  const bytes = readFileSync(path)
  bytes[position] = (bytes[position] ?? 0) ^ 1
  writeFileSync(path, bytes)
}
