import * as echarts from 'echarts'

/** One line of a plot. */
export interface Series {
  readonly name: string
  readonly points: readonly (readonly [x: number, y: number])[]
}

/** A line plot as SVG. */
export function plot(
  { x, y, isLogarithmic = true }: { x: string; y: string; isLogarithmic?: boolean },
  series: readonly Series[],
): string {
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: 720, height: 400 })
  chart.setOption({
    animation: false,
    backgroundColor: '#fff',
    legend: { top: 10 },
    grid: { left: 70, right: 30, top: 50, bottom: 60 },
    xAxis: { type: isLogarithmic ? 'log' : 'value', name: x, nameLocation: 'middle', nameGap: 32 },
    yAxis: { type: 'value', name: y, nameLocation: 'middle', nameGap: 50, min: 0 },
    series: series.map(({ name, points }) => ({
      name,
      type: 'line',
      data: points.map((point) => [...point]),
    })),
  })
  const svg = chart.renderToSVGString()
  chart.dispose()
  return svg
}
