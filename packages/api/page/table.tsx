import type { ComponentChildren, JSX } from 'preact';
import { type CsvColumns, download } from './csv.ts';

/** A column: its title and its cells. */
export interface Column<Row> {
  readonly title: string;
  readonly cell: (row: Row) => ComponentChildren;
  readonly number?: boolean;
  /** Holds text that needs all of a phone's width. */
  readonly text?: boolean;
  /** Holds buttons: their title is only for screen readers. */
  readonly buttons?: boolean;
}

interface TableProps<Row> {
  readonly label: string;
  /** The first one names the row. */
  readonly columns: readonly Column<Row>[];
  readonly rows: readonly Row[];
  readonly keyOf: (row: Row) => string;
  /** What its CSV file holds. */
  readonly csv: CsvColumns<Row>;
}

/**
 * A table that becomes a list of cards on a phone. The roles say what it is there too: a browser forgets a table's meaning as
 * soon as its parts are laid out in another way. Its rows can be taken away as a CSV file.
 */
export function Table<Row>({ label, columns, rows, keyOf, csv }: TableProps<Row>): JSX.Element {
  return (
    <>
      <table role="table" aria-label={label}>
        <thead role="rowgroup">
          <tr role="row">
            {columns.map(({ title, number, buttons }) => (
              <th key={title} role="columnheader" scope="col" class={number === true ? 'number' : ''}>
                {buttons === true ? <span class="hidden">{title}</span> : title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody role="rowgroup">
          {rows.map((row) => (
            <tr key={keyOf(row)} role="row">
              {columns.map((column, index) => (
                <Cell key={column.title} column={column} row={row} names={index === 0} />
              ))}
            </tr>
          ))}
        </tbody>
      </table>
      <p class="csv">
        <button type="button" aria-label={`CSV: ${label}`} onClick={() => download(label, csv, rows)}>
          CSV
        </button>
      </p>
    </>
  );
}

interface CellProps<Row> {
  readonly column: Column<Row>;
  readonly row: Row;
  readonly names: boolean;
}

function Cell<Row>({ column: { title, cell, number, text, buttons }, row, names }: CellProps<Row>): JSX.Element {
  if (names) {
    return (
      <th role="rowheader" scope="row">
        {cell(row)}
      </th>
    );
  }
  const kind = number === true ? 'number' : buttons === true ? 'buttons' : text === true ? 'long-text' : '';
  return (
    <td role="cell" class={kind} data-title={buttons === true ? undefined : title}>
      {cell(row)}
    </td>
  );
}
