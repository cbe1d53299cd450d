import { defineConfig } from 'vitest/config'

const MINUTE = 60_000

/** Suites with a place and a patience of their own; `unit` is everything else. */
const suites = [
  { name: 'tidy', include: ['test/tidy.test.ts'], timeout: MINUTE },
  { name: 'docs', include: ['test/docs.test.ts'], timeout: 2 * MINUTE },
  { name: 'crash', include: ['test/crash/**/*.test.ts'], timeout: 3 * MINUTE },
  { name: 'cli', include: ['test/cli/**/*.test.ts'], timeout: 2 * MINUTE },
  { name: 'package', include: ['test/package/**/*.test.ts'], timeout: 3 * MINUTE },
  { name: 'remote', include: ['test/remote/servers/**/*.test.ts'], timeout: 3 * MINUTE },
  { name: 'interop', include: ['test/interop/**/*.test.ts'], timeout: 3 * MINUTE },
]

// More seeds than usual were asked for: they take as long as they take.
const patience = process.env['VARVE_SEEDS'] === undefined ? 1 : Infinity

function project(name: string, include: string[], exclude: string[], timeout: number) {
  const limit = Number.isFinite(timeout * patience) ? timeout : 0
  return { extends: true as const, test: { name, include, exclude, testTimeout: limit, hookTimeout: limit } }
}

export default defineConfig({
  test: {
    env: { VARVE_CHECK: '1' },
    pool: 'forks',
    maxWorkers: 2,
    // What comes in the background comes; how long a busy machine takes says nothing.
    expect: { poll: { timeout: MINUTE } },
    projects: [
      project('unit', ['test/**/*.test.ts'], ['test/planted/**', ...suites.flatMap((suite) => suite.include)], MINUTE),
      ...suites.map((suite) => project(suite.name, suite.include, [], suite.timeout)),
    ],
  },
})
