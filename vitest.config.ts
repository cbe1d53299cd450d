import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    env: { VARVE_CHECK: '1' },
    testTimeout: 60_000,
    pool: 'forks',
    maxWorkers: 2,
  },
})
