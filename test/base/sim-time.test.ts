import { describe, expect, it } from 'vitest'
import { seededRandom } from '../../src/base/seeded-random.ts'
import { simulatedFileSystem } from '../../src/base/memory-file-system.ts'
import { testClock } from '../../src/base/test-clock.ts'

describe('the test clock', () => {
  it('stands still until told', async () => {
    const clock = testClock()
    expect(clock.now()).toBe(Date.UTC(2026, 0, 1))
    expect(clock.monotonicMs()).toBe(0)
    await clock.advance('1.5h')
    expect(clock.now()).toBe(Date.UTC(2026, 0, 1, 1, 30))
    expect(clock.monotonicMs()).toBe(5_400_000)
    expect(testClock(5).now()).toBe(5)
  })

  it('fires timers in order, each at its time, also those started meanwhile', async () => {
    const clock = testClock(0)
    const fired: string[] = []
    const note = (name: string): void => void fired.push(`${name}@${clock.now()}`)
    clock.timer(30, () => note('c'))
    clock.timer(10, () => {
      note('a')
      clock.timer(5, () => note('b'))
      clock.timer(100, () => note('late'))
    })
    clock.timer(30, () => note('d'))
    clock.timer(20, () => note('never')).cancel()
    await clock.advance(50)
    expect(fired).toEqual(['a@10', 'b@15', 'c@30', 'd@30'])
    await clock.advance(60)
    expect(fired.at(-1)).toBe('late@110')
  })

  it('drains the work that became due before it goes on', async () => {
    const clock = testClock(0)
    const fs = simulatedFileSystem({ interleave: seededRandom(1) })
    const file = fs.openSync('/a', 'create')
    const done: number[] = []
    const work = async (): Promise<void> => {
      for (let index = 0; index < 100; index++) await file.write(new Uint8Array([index]), index)
      await file.syncData()
      done.push(clock.now())
    }
    for (const due of [10, 11, 12]) clock.timer(due, () => void work())
    await clock.advance(12)
    expect(done).toEqual([10, 11, 12])
  })

  it('runs `soon` after what is due now', async () => {
    const clock = testClock()
    const order: string[] = []
    clock.soon(() => order.push('soon'))
    void Promise.resolve().then(() => order.push('microtask'))
    order.push('now')
    await clock.advance(0)
    expect(order).toEqual(['now', 'microtask', 'soon'])
  })

  it('moves the wall clock alone when asked', async () => {
    const clock = testClock(1_000)
    clock.jumpWall(-900)
    expect([clock.now(), clock.monotonicMs()]).toEqual([100, 0])
    await clock.advance(10)
    expect([clock.now(), clock.monotonicMs()]).toEqual([110, 10])
  })

  it('lets one advance follow the other, and says what a timer threw', async () => {
    const clock = testClock(0)
    clock.timer(5, () => {
      throw new Error('from a timer')
    })
    const first = clock.advance(10)
    const second = clock.advance(10)
    await expect(first).rejects.toThrow('from a timer')
    await second
    expect(clock.now()).toBe(15)
    await expect((async () => clock.advance('1 day' as '1d'))()).rejects.toMatchObject({ code: 'INVALID_OPTION' })
  })
})

describe('seeded chance', () => {
  it('repeats itself, and differs by seed', () => {
    const draw = (seed: number): number[] => Array.from({ length: 5 }, seededRandom(seed).fraction)
    expect(draw(1)).toEqual(draw(1))
    const firsts = [-1, 0, 1, 2, 2 ** 32 + 1, 2 ** 40].map((seed) => draw(seed)[0])
    expect(new Set(firsts).size).toBe(firsts.length)
    expect(seededRandom(9).bytes(33)).toEqual(seededRandom(9).bytes(33))
  })

  it('is even enough', () => {
    const random = seededRandom(42)
    const buckets = new Array<number>(10).fill(0)
    for (let draw = 0; draw < 20_000; draw++) buckets[Math.floor(random.fraction() * 10)]!++
    for (const count of buckets) expect(Math.abs(count - 2_000)).toBeLessThan(200)
    const bytes = random.bytes(20_001)
    expect(Math.abs(bytes.reduce((sum, byte) => sum + byte, 0) / bytes.length - 127.5)).toBeLessThan(2)
  })
})
