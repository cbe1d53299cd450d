/**
 * A small drawing of a partition's segments: the newest on top, as layers lie.
 *
 *   from offset  bytes    live  █ live, ░ superseded
 *           900  52.1 kB  80 %  ████████████████░░░░
 *             0  64.0 kB  4 %   █░░░░░░░░░░░░░░░░░░░░░░░
 *
 * Holds    Length is bytes as they are stored, the longest row is full; what is live is a share of the records, before
 *          compression. Segments share a row where there are too many, and how many they are is said.
 */
import type { SegmentInfo } from '../base/api-read.ts'
import type { KeyedBytes } from '../store-read-only.ts'
import { bytesText } from './output.ts'
import type { Output } from './output.ts'

const MOST_ROWS = 24
const WIDTH = 40

interface Layer {
  readonly baseOffset: number
  readonly segments: number
  readonly bytes: number
  /** Of its records with a key; undefined: it has none. */
  readonly liveShare: number | undefined
}

/** Draws segments whose live bytes are known. */
export async function drawLayers(out: Output, segments: readonly SegmentInfo[], keyed: KeyedBytes): Promise<void> {
  const [live, rest] = out.isUnicode ? ['█', '░'] : ['#', '.']
  const layers = layersOf(segments, keyed).reverse()
  const isShared = layers.some((layer) => layer.segments > 1)
  const most = layers.reduce((largest, layer) => Math.max(largest, layer.bytes), 1)
  await out.table(
    ['from offset', ...(isShared ? ['segments'] : []), 'bytes', 'live', `${live} live, ${rest} superseded`],
    layers.map(({ baseOffset, segments: together, bytes, liveShare }) => {
      const length = Math.ceil((bytes / most) * WIDTH)
      const liveLength = Math.round((liveShare ?? 0) * length)
      const bar = live.repeat(liveLength) + rest.repeat(length - liveLength)
      const share = liveShare === undefined ? '-' : `${Math.round(liveShare * 100)} %`
      return [baseOffset, ...(isShared ? [together] : []), bytesText(bytes), share, bar]
    }),
  )
}

/** Oldest first. */
function layersOf(segments: readonly SegmentInfo[], keyed: KeyedBytes): Layer[] {
  const together = Math.ceil(segments.length / MOST_ROWS)
  const layers: Layer[] = []
  for (let first = 0; first < segments.length; first += together) {
    const some = segments.slice(first, first + together)
    const liveBytes = some.reduce((sum, segment) => sum + (segment.liveBytes ?? 0), 0)
    const keyedBytes = some.reduce((sum, segment) => sum + (keyed.get(segment.baseOffset) ?? 0), 0)
    layers.push({
      baseOffset: some[0]!.baseOffset,
      segments: some.length,
      bytes: some.reduce((sum, segment) => sum + segment.bytes, 0),
      liveShare: keyedBytes === 0 ? undefined : Math.min(1, liveBytes / keyedBytes),
    })
  }
  return layers
}
