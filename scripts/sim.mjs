// The simulated crashes alone, with as many seeds as asked: the `crash` suite reads VARVE_SEEDS and VARVE_SEED.
//   npm run sim -- --seeds 20000      fresh seeds
//   npm run sim -- --seed 4711        one again
import { parseArgs } from 'node:util'
import { run } from './stages.mjs'

const { values, positionals } = parseArgs({
  options: { seeds: { type: 'string', default: '20000' }, seed: { type: 'string' } },
  allowPositionals: true,
})
for (const [name, value] of Object.entries(values)) {
  if (!/^\d+$/.test(value)) {
    console.error(`sim: --${name} takes a number, not "${value}"`)
    process.exit(2)
  }
}

const env = values.seed === undefined ? { VARVE_SEEDS: values.seeds } : { VARVE_SEED: values.seed, VARVE_SEEDS: '1' }
const { code, seconds } = await run('vitest', ['run', '--project', 'crash', ...positionals], { env })
console.log(
  `sim: ${values.seed === undefined ? `${values.seeds} seeds` : `seed ${values.seed}`}, ${seconds.toFixed(0)} s`,
)
process.exitCode = code
