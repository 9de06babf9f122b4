import { draw } from './drawing.ts';

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
