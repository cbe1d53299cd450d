/**
 * A writer in a process of its own: appends numbers to a store until it is killed, and says how many are acknowledged.
 */
import { defineTopic, json, openStore, utf8 } from '../../src/varve.ts'

const Numbers = defineTopic('numbers', {
  key: utf8(),
  value: json<number>(),
  partitions: 2,
  config: { segmentBytes: '4KiB' },
})
const [directory = '', count = '0'] = process.argv.slice(2)

await using store = await openStore(directory)
const numbers = await store.topic(Numbers, { create: 'if-missing' })
for (let n = 0; n < Number(count); n++) {
  await numbers.append({ key: `k${n}`, value: n })
  if ((n + 1) % 100 === 0) process.stdout.write(`${n + 1}\n`)
}
