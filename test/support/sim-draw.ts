/** Chance in the words of a test: one source per concern, so that one concern does not shift another. */
import type { Random } from '../../src/base/random.ts'
import { seededRandom } from '../../src/base/seeded-random.ts'

export class Draw {
  readonly random: Random

  constructor(seed: number) {
    this.random = seededRandom(seed)
  }

  /** An integer from `least` to `most`, both possible. */
  int(least: number, most: number): number {
    return least + Math.floor(this.random.fraction() * (most - least + 1))
  }

  chance(odds: number): boolean {
    return this.random.fraction() < odds
  }

  pick<const T>(from: readonly T[]): T {
    return from[Math.floor(this.random.fraction() * from.length)]!
  }

  /** Small numbers more often than large ones. */
  skewed(least: number, most: number): number {
    return least + Math.floor(this.random.fraction() ** 3 * (most - least + 1))
  }
}
