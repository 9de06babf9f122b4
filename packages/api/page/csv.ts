/** A cell of a CSV file; null is an empty one. */
type CsvValue = string | number | boolean | null;

/** The columns of a CSV file by their titles, and what each holds of a row. */
export type CsvColumns<Row> = Readonly<Record<string, (row: Row) => CsvValue>>;

/** A time as a CSV file has it: in UTC, to the millisecond. */
export function isoTime(atMs: number | null | undefined): string | null {
  return atMs === null || atMs === undefined ? null : new Date(atMs).toISOString();
}

/**
 * Rows as RFC 4180 has them: all texts quoted, lines ended by CR LF. Begins with a byte order mark, by which Excel knows UTF-8.
 *
 * Subjects, actions and error messages come from outside, and a spreadsheet takes a text that begins with `=`, `+`, `-` or `@`
 * for a formula. Such a text gets an apostrophe in front. So does the same sign behind a line break, a tab, `;` or `|`: a
 * spreadsheet that parts cells there cares for no quotes that do not begin a cell. Numbers stay numbers.
 */
export function toCsv<Row>(columns: CsvColumns<Row>, rows: readonly Row[]): string {
  const titles = Object.keys(columns);
  const read = Object.values(columns);
  const lines = [titles, ...rows.map((row) => read.map((value) => value(row)))];
  return `\uFEFF${lines.map((cells) => `${cells.map(cellOf).join(',')}\r\n`).join('')}`;
}

/** A sign that begins a formula, its full-width form too, at the start of a text or of what might become a cell of its own. */
const FORMULA = /(^|[;|\t\r\n])([\s"']*)([=+\-@＝＋－＠])/gu;

function cellOf(value: CsvValue): string {
  if (value === null) return '';
  if (typeof value !== 'string') return String(value);
  // A tab or line break at the start is dropped by some, with the same outcome.
  const harmless = value.replaceAll(FORMULA, "$1$2'$3").replace(/^(?=[\t\r\n])/u, "'");
  return `"${harmless.replaceAll('"', '""')}"`;
}

/** Offers a table as a file, such as `spillway-blocked-subjects-2026-11-29T02-00-00Z.csv`. */
export function download<Row>(name: string, columns: CsvColumns<Row>, rows: readonly Row[]): void {
  const now = new Date().toISOString().slice(0, 19).replaceAll(':', '-');
  const url = URL.createObjectURL(new Blob([toCsv(columns, rows)], { type: 'text/csv;charset=utf-8' }));
  const link = document.createElement('a');
  link.href = url;
  link.download = `spillway-${name.toLowerCase().replaceAll(/[^a-z0-9]+/gu, '-')}-${now}Z.csv`;
  link.click();
  // The browser has taken it by then.
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
