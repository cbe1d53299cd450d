/**
 * A process that fills a store and copies it to a bucket until it is killed. Says `up` when an upload begins.
 * Arguments: the store's directory, the bucket as a URL. Credentials come from the environment.
 */
import { subscribe } from 'node:diagnostics_channel'
import { parseTierUrl } from '../../src/remote/tier-url.ts'
import { openStore } from '../../src/varve.ts'

const [directory, url] = process.argv.slice(2)
subscribe('tracing:varve:offload:start', () => process.stdout.write('up\n'))
const store = await openStore(directory!, { tier: parseTierUrl(url!), offloader: { bytesPerSecond: '4MiB' } })
const topic = await store.topic('t', { create: 'if-missing', config: { segmentBytes: '2MiB' } })
for (;;) {
  await topic.append({ key: null, value: new Uint8Array(500_000) })
  await topic.offload()
}
