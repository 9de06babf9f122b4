import { barChart } from './figures/index.ts';
import type { Table } from './section.ts';

/** A table's chart as SVG: a bar for each row, the first one set apart. Undefined when the table wants none. */
export function chartOf({ title, columns, rows, chart }: Table): string | undefined {
  if (chart === undefined) return undefined;
  const { label, value, scale = 'linear' } = chart;
  return barChart({
    title: `${title}: ${columns[value]?.heading ?? ''}`,
    bars: rows.flatMap((row) => {
      const number = row[value];
      return typeof number === 'number' ? [{ label: String(row[label]).replaceAll('`', ''), value: number }] : [];
    }),
    digits: columns[value]?.digits ?? 0,
    scale,
  });
}
