import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import { duration } from './format.ts';

/** One line of a chart. */
export interface Line {
  readonly name: string;
  /** A custom property of the style sheet, as `--allowed`. */
  readonly color: string;
  /** A value for each time; null where there is none. */
  readonly values: readonly (number | null)[];
}

interface ChartProps {
  /** Says in words what the lines show, for those who don't see them. */
  readonly label: string;
  /** Ms since 1970, in order. */
  readonly times: readonly number[];
  readonly lines: readonly Line[];
  readonly format: (value: number) => string;
}

const HEIGHT = 180;

/** Lines over time, drawn by uPlot; drawn anew when the theme or the width changes. */
export function Chart({ label, times, lines, format }: ChartProps): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const element = box.current;
    if (element === null) return undefined;
    let plot: uPlot | undefined;
    const draw = (): void => {
      plot?.destroy();
      const data = [times.map((at) => at / 1_000), ...lines.map(({ values }) => [...values])] as uPlot.AlignedData;
      plot = new uPlot(optionsOf(element, lines, format), data, element);
    };
    const resized = new ResizeObserver(draw);
    resized.observe(element);
    const theme = matchMedia('(prefers-color-scheme: dark)');
    theme.addEventListener('change', draw);
    return () => {
      resized.disconnect();
      theme.removeEventListener('change', draw);
      plot?.destroy();
    };
  }, [times, lines]);
  return <div ref={box} class="chart" role="img" aria-label={`${label} ${inWords(times, lines, format)}`} />;
}

/** A custom property as the style sheet has it now. */
function colorOf(element: Element, name: string): string {
  return getComputedStyle(element).getPropertyValue(name).trim();
}

function optionsOf(element: HTMLElement, lines: readonly Line[], format: (value: number) => string): uPlot.Options {
  const axis = { stroke: colorOf(element, '--muted'), grid: { stroke: colorOf(element, '--line'), width: 1 } };
  return {
    width: Math.max(200, element.clientWidth),
    height: HEIGHT,
    cursor: { y: false },
    legend: { live: true },
    scales: { y: { range: (_, __, max) => [0, Math.max(max * 1.1, 1)] } },
    axes: [axis, { ...axis, size: 60, values: (_, ticks) => ticks.map(format) }],
    series: [
      {},
      ...lines.map(({ name, color }) => ({
        label: name,
        stroke: colorOf(element, color),
        width: 2,
        spanGaps: false,
        points: { show: false },
        value: (_: uPlot, value: number | null) => (value === null ? '–' : format(value)),
      })),
    ],
  };
}

/** The last value of each line, and over what time. */
function inWords(times: readonly number[], lines: readonly Line[], format: (value: number) => string): string {
  const [first, last] = [times.at(0), times.at(-1)];
  if (first === undefined || last === undefined) return '';
  const values = lines.map(({ name, values: line }) => `${name} ${format(line.at(-1) ?? 0)}`);
  return `Over ${duration(last - first)}, at the end: ${values.join(', ')}.`;
}
