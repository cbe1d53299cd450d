/** The results as one SVG of bars: a panel per result, ours on top, the raw limit and the peers below it. */
import { readable, type BenchResult } from './harness.ts'
import type { Surroundings } from './report.ts'

const WIDTH = 860
const LABEL = 190
const BAR = 18
const GAP = 6
const FIGURES = 150

interface Bar {
  readonly name: string
  readonly value: number
  readonly colour: string
}

export function plot(results: readonly BenchResult[], where: Surroundings): string {
  let top = 82
  const panels: string[] = []
  for (const result of results) {
    const bars = barsOf(result)
    panels.push(panel(result, bars, top))
    top += 34 + bars.length * (BAR + GAP) + 22
  }
  const size = `width="${WIDTH}" height="${top}" viewBox="0 0 ${WIDTH} ${top}"`
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} font-family="system-ui, sans-serif" font-size="13">
<rect width="100%" height="100%" fill="#fff"/>
${text(16, 26, 'Varve bench', 'font-size="18" font-weight="600"')}
${text(16, 44, `${where.machine}, ${where.date}`, 'font-size="10" fill="#666"')}
${text(16, 58, where.versions, 'font-size="10" fill="#666"')}
${panels.join('\n')}
</svg>
`
}

function barsOf(result: BenchResult): Bar[] {
  const bars: Bar[] = [{ name: 'varve', value: result.ours, colour: '#0b7285' }]
  if (result.limit !== null) bars.push({ name: 'raw limit', value: result.limit, colour: '#adb5bd' })
  for (const [name, value] of Object.entries(result.peers)) bars.push({ name, value, colour: '#e8a33d' })
  return bars
}

function panel(result: BenchResult, bars: readonly Bar[], top: number): string {
  const greatest = Math.max(...bars.map(({ value }) => value))
  const ratio = result.ratio === null ? '' : `${result.ratio.toFixed(2)} of the limit · `
  const better = `${ratio}${result.better} is better`
  const rows = bars.map((bar, i) => {
    const y = top + 16 + i * (BAR + GAP)
    const width = Math.max(1, (bar.value / greatest) * (WIDTH - LABEL - FIGURES - 16))
    return [
      text(LABEL - 8, y + 13, bar.name, 'text-anchor="end"'),
      `<rect x="${LABEL}" y="${y}" width="${width.toFixed(1)}" height="${BAR}" rx="2" fill="${bar.colour}"/>`,
      text(LABEL + width + 6, y + 13, `${readable(bar.value)} ${result.unit}`, 'fill="#333"'),
    ].join('\n')
  })
  const title = `${result.id}  ${result.what}`
  return [
    text(16, top, title, 'font-weight="600"'),
    text(WIDTH - 16, top, better, 'text-anchor="end" fill="#999" font-size="10"'),
    ...rows,
  ].join('\n')
}

function text(x: number, y: number, content: string, attributes = ''): string {
  const escaped = content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
  return `<text x="${x.toFixed(1)}" y="${y}" ${attributes}>${escaped}</text>`
}
