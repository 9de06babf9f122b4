import type { DebianPackage } from '@spillway/local-servers';

/* How often a section measures, and what it makes of its values. */

/** How thoroughly a section measures: as its texts say, or only so far that one sees it work. */
export interface Effort {
  /** How many rounds to make where a whole run makes `full`. */
  rounds(full: number): number;
  /** How much to do in a round where a whole run does `full`. */
  amount(full: number): number;
}

/** What the page is made from. */
export const wholeEffort: Effort = { rounds: (full) => full, amount: (full) => full };

/** One round of a tenth: for trying a section out. */
export const quickEffort: Effort = { rounds: () => 1, amount: (full) => Math.ceil(full / 10) };

/** The value that `share` of the values lie below, by nearest rank; NaN of none. @param share 0 to 1 */
export function quantile(values: readonly number[], share: number): number {
  const index = Math.min(values.length - 1, Math.floor(values.length * share));
  return values.toSorted((one, other) => one - other)[index] ?? Number.NaN;
}

/** The middle value; the upper of the two middle ones. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** One part of the benches: it measures, and says what came out as plain data. */
export interface Section {
  /** As it is called on the command line: lower-case letters and `-`. */
  readonly name: string;
  readonly title: string;
  /** Programs that it runs; installed as root on Debian or Ubuntu. Without them the section is left out. */
  readonly needs?: readonly DebianPackage[];
  measure(effort: Effort): Promise<Findings>;
}

/** What a section found. All of it is JSON: the page and the charts are made from it, now or later. */
export interface Findings {
  /** What is promised, and what was measured: the first thing that a reader sees. */
  readonly goals: readonly Goal[];
  readonly tables: readonly Table[];
}

/** A promise as a number. Ratios between contenders of one run hold better than figures. */
export interface Goal {
  readonly name: string;
  readonly measured: number;
  readonly bound: number;
  /** Whether more or less is better. */
  readonly better: 'more' | 'less';
  /** Behind the numbers: `×`, `/s`, `%`. */
  readonly unit: string;
  /** How far two quiet runs differ, as a share; a comparison allows twice this. @default 0.1 */
  readonly noise?: number;
}

/** A table of the page. */
export interface Table {
  readonly title: string;
  /** What was done, before the table. */
  readonly intro: string;
  readonly columns: readonly Column[];
  /** Cells in the order of the columns; a number is shown with the column's digits. */
  readonly rows: readonly (readonly (string | number)[])[];
  /** What one has to know to read it, after the table. */
  readonly notes?: string;
  /** Draws the rows as bars: `label` and `value` are indices of columns. */
  readonly chart?: { readonly label: number; readonly value: number; readonly scale?: 'linear' | 'log' };
}

/** A column of a {@link Table}. */
export interface Column {
  readonly heading: string;
  /** Digits after the point, for a column of numbers; a column of text has none. */
  readonly digits?: number;
  /** Behind each number: `×`. */
  readonly unit?: string;
}
