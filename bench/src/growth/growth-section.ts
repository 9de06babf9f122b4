import type { Findings, Section, Table } from '../section.ts';
import { type RowSize, rowSizes } from './growth.ts';

/** Rows an hour: the guide's scale target, and a hundred times that. */
const RATES: readonly number[] = [50_000, 5_000_000];
const HOURS_A_YEAR = 24 * 365;
const GIB = 2 ** 30;

/** How tables grow in a year, from what a row was measured to take. */
export const growthSection: Section = {
  name: 'growth',
  title: 'Growth',
  async measure(effort): Promise<Findings> {
    const sizes = await rowSizes(effort);
    return { goals: [], tables: [sizeTable(sizes), yearTable(sizes)] };
  },
};

function sizeTable(sizes: readonly RowSize[]): Table {
  return {
    title: 'Bytes a row',
    intro:
      '200,000 rows with texts that do not repeat, then moved by the archival job; heap, TOAST and indexes, after VACUUM.',
    columns: [
      { heading: 'table' },
      { heading: 'live', digits: 0 },
      { heading: 'of it indexes', digits: 0 },
      { heading: 'archive', digits: 0 },
      { heading: 'of it indexes', digits: 0 },
      { heading: 'rows/s into the archive', digits: 0 },
    ],
    rows: sizes.map((size) => [
      size.table,
      size.liveBytes,
      size.liveIndexBytes,
      size.archiveBytes,
      size.archiveIndexBytes,
      size.movedPerSecond,
    ]),
  };
}

function yearTable(sizes: readonly RowSize[]): Table {
  return {
    title: 'A year',
    intro: 'One row of each table for each generation, all day and all year. Computed from the table above.',
    columns: [
      { heading: 'table' },
      { heading: 'rows/hour', digits: 0 },
      { heading: 'million rows a month', digits: 1 },
      { heading: 'live GiB', digits: 0 },
      { heading: 'archive GiB a month', digits: 0 },
      { heading: 'both after a year, GiB', digits: 0 },
      { heading: 'minutes a weekly run', digits: 1 },
    ],
    rows: RATES.flatMap((rate) => sizes.map((size) => yearRow(size, rate))),
    notes:
      'Live is what the table holds once rows leave it as fast as they come. A weekly run moves a week of rows over one\nconnection.',
  };
}

function yearRow(size: RowSize, rowsPerHour: number): readonly (string | number)[] {
  const aYear = rowsPerHour * HOURS_A_YEAR;
  const live = rowsPerHour * 24 * size.liveDays;
  return [
    size.table,
    rowsPerHour,
    aYear / 12 / 1e6,
    (live * size.liveBytes) / GIB,
    ((aYear / 12) * size.archiveBytes) / GIB,
    (live * size.liveBytes + (aYear - live) * size.archiveBytes) / GIB,
    (rowsPerHour * 24 * 7) / size.movedPerSecond / 60,
  ];
}
