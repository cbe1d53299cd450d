import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ByteSink } from '../../src/base/byte-sink.ts'

const written = (sink: ByteSink): string => sink.bytes.toString('utf8', 0, sink.position)

test('texts and bytes follow each other, whatever their length', () => {
  const text = fc.string({ unit: 'grapheme', maxLength: 80 }).map((value) => value.toWellFormed())
  fc.assert(
    fc.property(fc.array(text), (texts) => {
      const sink = new ByteSink()
      for (const value of texts) {
        sink.writeUtf8(value)
        sink.writeBytes(Buffer.from(value))
      }
      expect(written(sink)).toBe(texts.map((value) => value + value).join(''))
    }),
  )
})

test('growing keeps what was written', () => {
  const sink = new ByteSink()
  let all = ''
  for (let size = 1; size < 2_000_000; size *= 7) {
    const piece = `${'é'.repeat(size)}|`
    sink.writeUtf8(piece)
    all += piece
  }
  expect(written(sink)).toBe(all)
})

test('clear starts again, and gives back what one large value took', () => {
  const sink = new ByteSink()
  sink.writeUtf8('x'.repeat(10_000_000))
  expect(sink.bytes.length).toBeGreaterThanOrEqual(10_000_000)
  sink.clear()
  expect(sink.bytes.length).toBeLessThan(1_000_000)
  sink.writeUtf8('again')
  expect(written(sink)).toBe('again')
})

test('a text that turns out not to be ASCII leaves no trace of the attempt', () => {
  const sink = new ByteSink()
  sink.writeUtf8('abcdefé')
  expect(sink.position).toBe(8)
  expect(written(sink)).toBe('abcdefé')
})
