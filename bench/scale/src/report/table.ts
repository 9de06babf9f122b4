import type { Column } from '@spillway/bench/figures';

/** A table of the report, to be written as Markdown or as HTML. Cells are plain text. */
export interface ReportTable {
  readonly columns: readonly Column[];
  readonly rows: readonly (readonly string[])[];
}
