import { BarChart, LineChart } from 'echarts/charts';
import { GridComponent, LegendComponent, MarkLineComponent, TitleComponent } from 'echarts/components';
import * as echarts from 'echarts/core';
import { SVGRenderer } from 'echarts/renderers';

echarts.use([BarChart, LineChart, GridComponent, LegendComponent, MarkLineComponent, TitleComponent, SVGRenderer]);

/** How wide every chart is, in pixels. */
const WIDTH = 760;

/** Draws what the options say, on white, without a browser. */
function draw(height: number, options: echarts.EChartsCoreOption): string {
  const drawing = echarts.init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height });
  drawing.setOption({ animation: false, backgroundColor: '#ffffff', ...options });
  const svg = drawing.renderToSVGString();
  drawing.dispose();
  return `${svg}\n`;
}

/** One bar. */
export interface Bar {
  readonly label: string;
  readonly value: number;
}

/** What {@link barChart} draws. */
export interface BarChartOptions {
  readonly title: string;
  /** From top to bottom. The first one is set apart. */
  readonly bars: readonly Bar[];
  /** Digits behind the point. @default 0 */
  readonly digits?: number;
  /** @default 'linear' */
  readonly scale?: 'linear' | 'log';
}

const BAR_HEIGHT = 34;

/** Horizontal bars as SVG, each with its value behind it. */
export function barChart({ title, bars, digits = 0, scale = 'linear' }: BarChartOptions): string {
  const upwards = bars.toReversed();
  return draw(70 + BAR_HEIGHT * bars.length, {
    title: { text: title, left: 0, textStyle: { fontSize: 14 } },
    grid: { left: 8, right: 90, top: 40, bottom: 8, outerBoundsMode: 'same', outerBoundsContain: 'all' },
    xAxis: { type: scale === 'log' ? 'log' : 'value', axisLabel: { show: false }, splitLine: { show: false } },
    yAxis: { type: 'category', data: upwards.map(({ label }) => label) },
    series: [
      {
        type: 'bar',
        data: upwards.map(({ value }, index) => ({
          value,
          itemStyle: { color: index === upwards.length - 1 ? '#0f766e' : '#94a3b8' },
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
}

/** One line: points of (seconds, value). */
export interface Line {
  readonly label: string;
  readonly points: readonly (readonly [seconds: number, value: number])[];
}

/** A moment with a name, drawn as a vertical line. */
export interface Mark {
  readonly seconds: number;
  readonly label: string;
}

/** What {@link lineChart} draws. */
export interface LineChartOptions {
  readonly title: string;
  /** Of the values, beside their axis: `ms`, `MB`. */
  readonly unit: string;
  readonly lines: readonly Line[];
  /** @default none */
  readonly marks?: readonly Mark[];
  /** A logarithmic axis leaves out what is not above 0. @default 'linear' */
  readonly scale?: 'linear' | 'log';
}

const HEIGHT = 260;
const COLOURS = ['#0f766e', '#b45309', '#1d4ed8', '#be123c', '#6d28d9', '#475569', '#15803d'];

/** Lines over time as SVG, with a legend. */
export function lineChart({ title, unit, lines, marks = [], scale = 'linear' }: LineChartOptions): string {
  return draw(HEIGHT, {
    color: COLOURS,
    title: { text: title, left: 0, top: 0, textStyle: { fontSize: 14 } },
    legend: { top: 26, left: 0, itemHeight: 8, data: lines.map(({ label }) => label) },
    grid: { left: 8, right: 24, top: 64, bottom: 8, outerBoundsMode: 'same', outerBoundsContain: 'all' },
    xAxis: { type: 'value', name: 's', min: 0, max: 'dataMax', splitLine: { show: false } },
    yAxis: { type: scale === 'log' ? 'log' : 'value', name: unit, nameTextStyle: { align: 'left' } },
    series: lines.map(({ label, points }, index) => ({
      type: 'line',
      name: label,
      showSymbol: false,
      lineStyle: { width: 1.5 },
      data: scale === 'log' ? points.filter(([, value]) => value > 0) : points,
      ...(index === 0 ? { markLine: markLine(marks) } : {}),
    })),
  });
}

function markLine(marks: readonly Mark[]): object {
  return {
    silent: true,
    symbol: 'none',
    lineStyle: { color: '#94a3b8', type: 'dashed' },
    label: { show: true, position: 'insideEndTop', fontSize: 9, color: '#475569' },
    data: marks.map(({ seconds, label }) => ({ xAxis: seconds, name: label, label: { formatter: label } })),
  };
}

/** A column: its heading, and whether it holds numbers. */
export type Column = readonly [heading: string, align: 'left' | 'right'];

/** A Markdown table. */
export function markdownTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  return [
    line(columns.map(([heading]) => heading)),
    line(columns.map(([, align]) => (align === 'left' ? '---' : '---:'))),
    ...rows.map(line),
  ].join('\n');
}

function line(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}
