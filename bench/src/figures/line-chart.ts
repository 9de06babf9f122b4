import { draw } from './drawing.ts';

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
