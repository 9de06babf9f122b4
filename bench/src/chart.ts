import { BarChart } from 'echarts/charts';
import { GridComponent, TitleComponent } from 'echarts/components';
import * as echarts from 'echarts/core';
import { SVGRenderer } from 'echarts/renderers';
import type { Table } from './section.ts';

echarts.use([BarChart, GridComponent, TitleComponent, SVGRenderer]);

const WIDTH = 760;
const BAR_HEIGHT = 34;

/** A table's chart as SVG: a bar for each row, the first one set apart. Undefined when the table wants none. */
export function chartOf({ title, columns, rows, chart }: Table): string | undefined {
  if (chart === undefined) return undefined;
  const { label, value, scale = 'linear' } = chart;
  const bars = rows.filter((row) => typeof row[value] === 'number').toReversed();
  const digits = columns[value]?.digits ?? 0;
  const drawing = echarts.init(null, null, {
    renderer: 'svg',
    ssr: true,
    width: WIDTH,
    height: 70 + BAR_HEIGHT * bars.length,
  });
  drawing.setOption({
    animation: false,
    backgroundColor: '#ffffff',
    title: { text: `${title}: ${columns[value]?.heading ?? ''}`, textStyle: { fontSize: 14 } },
    grid: { left: 8, right: 90, top: 40, bottom: 8, containLabel: true },
    xAxis: { type: scale === 'log' ? 'log' : 'value', axisLabel: { show: false }, splitLine: { show: false } },
    yAxis: { type: 'category', data: bars.map((row) => String(row[label]).replaceAll('`', '')) },
    series: [
      {
        type: 'bar',
        data: bars.map((row, index) => ({
          value: row[value],
          itemStyle: { color: index === bars.length - 1 ? '#0f766e' : '#94a3b8' },
        })),
        label: {
          show: true,
          position: 'right',
          formatter: (bar: { readonly value?: unknown }) =>
            Number(bar.value).toLocaleString('en', { minimumFractionDigits: digits, maximumFractionDigits: digits }),
        },
      },
    ],
  });
  const svg = drawing.renderToSVGString();
  drawing.dispose();
  return `${svg}\n`;
}
