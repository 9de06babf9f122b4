import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { clock, duration, utc } from './format.ts';
import uPlot from 'uplot';

/** One line of a chart. */
interface Line {
  readonly name: string;
  /** A custom property of the style sheet, as `--allowed`. */
  readonly color: string;
  /** A value for each time; null where there is none. */
  readonly values: readonly (number | null)[];
}

interface ChartProps {
  /** A text alternative of the lines, for screen readers. */
  readonly label: string;
  /** Ms since 1970, in order. */
  readonly times: readonly number[];
  /** As many as before: another number of lines is another chart. */
  readonly lines: readonly Line[];
  readonly format: (value: number) => string;
}

const HEIGHT = 150;

/**
 * Lines over time. New figures are put into the plot that is there, which also keeps the cursor; only another theme draws it
 * again. All charts of the page show the same moment under the cursor.
 */
export function Chart({ label, times, lines, format }: ChartProps): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(null);
  const [index, setIndex] = useState<number>();
  const data = dataOf(times, lines);
  const latest = useRef(data);
  latest.current = data;
  useEffect(() => {
    const element = box.current;
    if (element === null) return undefined;
    const draw = (): void => {
      plot.current?.destroy();
      plot.current = new uPlot(optionsOf(element, lines, format, setIndex), latest.current, element);
    };
    draw();
    const resized = new ResizeObserver(() => plot.current?.setSize({ width: widthOf(element), height: HEIGHT }));
    resized.observe(element);
    const theme = matchMedia('(prefers-color-scheme: dark)');
    theme.addEventListener('change', draw);
    return () => {
      resized.disconnect();
      theme.removeEventListener('change', draw);
      plot.current?.destroy();
    };
  }, []);
  useEffect(() => plot.current?.setData(latest.current), [times, lines]);
  return (
    <>
      <div ref={box} class="chart" role="img" aria-label={`${label} ${inWords(times, lines, format)}`} />
      <Legend times={times} lines={lines} format={format} index={index} />
    </>
  );
}

interface LegendProps extends Omit<ChartProps, 'label'> {
  /** What the cursor points at; undefined: the last step. */
  readonly index: number | undefined;
}

/** The lines' names with the values under the cursor, or else the last ones. */
function Legend({ times, lines, format, index }: LegendProps): JSX.Element {
  const at = times.at(index ?? -1);
  return (
    <p class="legend" aria-hidden="true">
      {lines.map(({ name, color, values }) => {
        const value = values.at(index ?? -1) ?? null;
        return (
          <span key={name} style={`--line-color: var(${color})`}>
            {name} <b>{value === null ? '–' : format(value)}</b>
          </span>
        );
      })}
      <small title={at === undefined ? undefined : utc(at)}>{at === undefined ? '' : clock(at)}</small>
    </p>
  );
}

function dataOf(times: readonly number[], lines: readonly Line[]): uPlot.AlignedData {
  return [times.map((at) => at / 1_000), ...lines.map(({ values }) => [...values])];
}

function widthOf(element: Element): number {
  return Math.max(200, element.clientWidth);
}

/** A custom property as the style sheet has it now. */
function colorOf(element: Element, name: string): string {
  return getComputedStyle(element).getPropertyValue(name).trim();
}

function optionsOf(
  element: Element,
  lines: readonly Line[],
  format: (value: number) => string,
  onIndex: (index: number | undefined) => void,
): uPlot.Options {
  const axis = { stroke: colorOf(element, '--muted'), grid: { stroke: colorOf(element, '--line'), width: 1 } };
  const hours = '{HH}:{mm}';
  return {
    width: widthOf(element),
    height: HEIGHT,
    padding: [8, 8, 0, 0],
    cursor: { y: false, drag: { x: false, y: false }, sync: { key: 'board' }, points: { size: 7 } },
    legend: { show: false },
    scales: { y: { range: (_, __, max) => [0, Math.max(max * 1.1, 1)] } },
    axes: [
      {
        ...axis,
        size: 28,
        // From a day on the date says more.
        values: [
          [86_400, '{MMM} {D}', null, null, null, null, null, null, 1],
          [60, hours, null, null, null, null, null, null, 1],
        ],
      },
      { ...axis, size: 60, values: (_, ticks) => ticks.map(format) },
    ],
    series: [
      {},
      ...lines.map(({ name, color }) => ({
        label: name,
        stroke: colorOf(element, color),
        fill: `${colorOf(element, color)}1c`,
        width: 2,
        spanGaps: false,
        points: { show: false },
      })),
    ],
    hooks: { setCursor: [({ cursor: { idx, left = -1 } }) => onIndex(left < 0 ? undefined : (idx ?? undefined))] },
  };
}

function inWord(value: number | null, format: (value: number) => string): string {
  return value === null ? 'not known' : format(value);
}

/** The last value of each line, and over what time. */
function inWords(times: readonly number[], lines: readonly Line[], format: (value: number) => string): string {
  const [first, last] = [times.at(0), times.at(-1)];
  if (first === undefined || last === undefined) return '';
  const values = lines.map(({ name, values: line }) => `${name} ${inWord(line.at(-1) ?? null, format)}`);
  return `Over ${duration(last - first)}, at the end: ${values.join(', ')}.`;
}
