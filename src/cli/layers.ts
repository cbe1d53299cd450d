/**
 * A small drawing of a partition's segments: the newest on top, as layers lie.
 *
 *   from offset  bytes    live bytes  █ live, ░ superseded and framing
 *           900  52.1 kB  41.0 kB     ████████████████░░░░
 *             0  64.0 kB  3.2 kB      █░░░░░░░░░░░░░░░░░░░░░░░
 *
 * Holds    Length is bytes, the longest row is full. Segments share a row where there are too many.
 */
import type { SegmentInfo } from '../base/api-read.ts'
import { bytesText } from './output.ts'
import type { Output } from './output.ts'

const MOST_ROWS = 24
const WIDTH = 40

interface Layer {
  readonly baseOffset: number
  readonly bytes: number
  readonly liveBytes: number
}

/** Draws segments whose live bytes are known. */
export async function drawLayers(out: Output, segments: readonly SegmentInfo[]): Promise<void> {
  const [live, rest] = out.isUnicode ? ['█', '░'] : ['#', '.']
  const layers = layersOf(segments).reverse()
  const most = layers.reduce((largest, layer) => Math.max(largest, layer.bytes), 1)
  await out.table(
    ['from offset', 'bytes', 'live bytes', `${live} live, ${rest} superseded and framing`],
    layers.map(({ baseOffset, bytes, liveBytes }) => {
      const length = Math.ceil((bytes / most) * WIDTH)
      const liveLength = bytes === 0 ? 0 : Math.min(length, Math.round((liveBytes / bytes) * length))
      const bar = live.repeat(liveLength) + rest.repeat(length - liveLength)
      return [baseOffset, bytesText(bytes), bytesText(liveBytes), bar]
    }),
  )
}

/** Oldest first. */
function layersOf(segments: readonly SegmentInfo[]): Layer[] {
  const together = Math.ceil(segments.length / MOST_ROWS)
  const layers: Layer[] = []
  for (let first = 0; first < segments.length; first += together) {
    const some = segments.slice(first, first + together)
    layers.push({
      baseOffset: some[0]!.baseOffset,
      bytes: some.reduce((sum, segment) => sum + segment.bytes, 0),
      liveBytes: some.reduce((sum, segment) => sum + (segment.liveBytes ?? 0), 0),
    })
  }
  return layers
}
