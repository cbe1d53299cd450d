import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { expect, test } from 'vitest'
import fc from 'fast-check'
import { KeyMap } from '../../src/index/key-map.ts'
import { KeyMapReader } from '../../src/index/key-map-reader.ts'
import { mix, TestIdentity } from '../support/key-map-model.ts'

const KEYS = 60_000
const KEPT = 400
const HOT = 8
const LOOKS = 400_000
const STEPS = 200_000
const CHILD = new URL('../support/key-map-child.ts', import.meta.url)

test('it finds what the map finds, at any size of the map', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 9000 }), (count) => {
      const map = new KeyMap()
      const identity = new TestIdentity()
      for (let n = 0; n < count; n++) map.put(identity.set(n), n * 1e10, 1 + n, n % 2 === 0)
      const reader = new KeyMapReader(map.buffer)
      for (let n = 0; n < count + 50; n++) {
        expect(reader.get(identity.set(n))).toBe(map.get(identity))
        if (n < count) expect(reader.record).toEqual(map.record)
      }
      map.contest(identity.set(0))
      expect(reader.get(identity)).toBe('contested')
    }),
    { seed: 6, numRuns: 20 },
  )
})

test('it follows a map that grows in place, and says when a small one was replaced', () => {
  const map = new KeyMap()
  const identity = new TestIdentity()
  let reader = new KeyMapReader(map.buffer)
  let replaced = 0
  for (let n = 0; n < 100_000; n++) {
    map.put(identity.set(n), n, 1, false)
    let found = reader.get(identity)
    if (found === 'replaced') {
      replaced++
      reader = new KeyMapReader(map.buffer)
      found = reader.get(identity)
    }
    if (found !== 'found' || reader.record.offset !== n) expect.fail(`${n} is ${found}`)
  }
  expect(replaced).toBeGreaterThan(5)
  expect(replaced).toBeLessThan(14)
})

test('another thread sees whole records, the newest of each key, while the map is written and grows', async () => {
  const map = new KeyMap()
  const identity = new TestIdentity()
  const next = new Float64Array(KEYS)
  const put = (n: number): void => {
    const offset = next[n]! * KEYS + n
    next[n]!++
    map.put(identity.set(n), offset, 1 + (mix(offset) % 1000), mix(offset) % 2 === 0)
  }
  const remove = (n: number): void => {
    map.remove(identity.set(n), (next[n]! - 1) * KEYS + n)
  }
  for (let n = 0; n < KEPT; n++) put(n)

  const looks = new Int32Array(new SharedArrayBuffer(4))
  const worker = new Worker(CHILD, { workerData: { keys: KEYS, kept: KEPT, hot: HOT, looks } })
  try {
    let sent: SharedArrayBuffer | undefined
    for (let step = 0, looked = 0; looked < LOOKS || step < STEPS; step++) {
      if (map.buffer !== sent) worker.postMessage({ buffer: (sent = map.buffer) })
      // Wider and wider, so that the map grows all the time that it is looked at; some keys go and come back.
      looked = Atomics.load(looks, 0)
      const n = mix(step) % Math.min(KEYS, KEPT + Math.floor((looked / LOOKS) * KEYS))
      // Half of all puts meet a few keys, at which the other thread looks often too.
      if (step % 2 === 0) put(n % HOT)
      else if (n >= KEPT && n % 4 === 0 && mix(step + 1) % 2 === 0) remove(n)
      else put(n)
      if (step % 2000 === 0) await new Promise((done) => setImmediate(done))
    }
    worker.postMessage({ stop: true })
    const [seen] = await once(worker, 'message')
    expect(seen.faults).toEqual([])
    expect(seen.found).toBeGreaterThan(20_000)
    expect(seen.absent).toBeGreaterThan(20_000)
    expect(seen.buffers).toBeGreaterThan(1)
  } finally {
    await worker.terminate()
  }
})
