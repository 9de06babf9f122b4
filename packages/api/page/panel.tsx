import { type ComponentChildren, type JSX, createContext } from 'preact';
import type { Panel as PanelState } from '../src/dashboard/snapshot-shape.ts';
import { local, relative, roughly, utc } from './format.ts';
import { type CsvColumns, download } from './csv.ts';
import { useContext, useMemo } from 'preact/hooks';

interface PanelProps<Data> {
  readonly title: string;
  /** One sentence that says what is counted. */
  readonly about?: string;
  readonly panel: PanelState<Data>;
  readonly wide?: boolean;
  readonly children: (data: Data) => ComponentChildren;
}

/** A part of the board: its figures, or in words why there are none. */
export function Panel<Data>({ title, about, panel, wide = false, children }: PanelProps<Data>): JSX.Element {
  const id = `panel-${title.toLowerCase().replaceAll(' ', '-')}`;
  return (
    <section class={wide ? 'panel wide' : 'panel'} aria-labelledby={id}>
      <h2 id={id}>{title}</h2>
      {about === undefined ? null : <p class="about">{about}</p>}
      {panel.kind === 'ready' ? (
        children(panel.data)
      ) : (
        <p class="bad" role="alert">
          These figures can’t be shown: {panel.reason}
        </p>
      )}
    </section>
  );
}

/** What a part says when there is nothing to show. */
export function Nothing({ children }: { readonly children: ComponentChildren }): JSX.Element {
  return <p class="nothing">{children}</p>;
}

/** A moment where the reader is, with UTC under the pointer. */
export function Moment({ atMs }: { readonly atMs: number }): JSX.Element {
  return (
    <time dateTime={new Date(atMs).toISOString()} title={utc(atMs)}>
      {local(atMs)}
    </time>
  );
}

/** How far away a moment is, with the moment itself under the pointer: where the reader is, and in UTC. */
export function Away({ atMs, nowMs }: { readonly atMs: number; readonly nowMs: number }): JSX.Element {
  return (
    <time dateTime={new Date(atMs).toISOString()} title={`${local(atMs)} (${utc(atMs)})`}>
      {relative(atMs, nowMs)}
    </time>
  );
}

/** For how long something has been so, with its begin under the pointer. */
export function Since({ atMs, nowMs }: { readonly atMs: number; readonly nowMs: number }): JSX.Element {
  return (
    <time dateTime={new Date(atMs).toISOString()} title={`since ${local(atMs)} (${utc(atMs)})`}>
      {roughly(nowMs - atMs)}
    </time>
  );
}

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
  /** What is said in its place where there are no rows. @default its head alone */
  readonly empty?: ComponentChildren;
}

/**
 * A table that becomes a list of cards on a phone. The roles say what it is there too: a browser forgets a table's meaning as
 * soon as its parts are laid out in another way. Its rows can be taken away as a CSV file.
 */
export function Table<Row>({ label, columns, rows, keyOf, csv, empty }: TableProps<Row>): JSX.Element {
  if (rows.length === 0 && empty !== undefined) return <Nothing>{empty}</Nothing>;
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

/** Which breaker's history to show. */
export interface OpenBreaker {
  readonly breakerName: string;
  readonly preset: string;
}

/** Opens views above the panels, so that new figures can remove the row that opened them. */
interface Open {
  readonly openSubject: (subject: string) => void;
  readonly openBreaker: (breaker: OpenBreaker) => void;
}

const Opening = createContext<Open>({ openSubject: () => undefined, openBreaker: () => undefined });

/** What a row can open. */
export function useOpen(): Open {
  return useContext(Opening);
}

interface OpenProviderProps {
  readonly onSubject: (subject: string) => void;
  readonly onBreaker: (breaker: OpenBreaker) => void;
  readonly children: ComponentChildren;
}

/** Gives the page's rows the functions that open views. Both functions must keep their identity. */
export function OpenProvider({ onSubject, onBreaker, children }: OpenProviderProps): JSX.Element {
  const open = useMemo(() => ({ openSubject: onSubject, openBreaker: onBreaker }), [onSubject, onBreaker]);
  return <Opening.Provider value={open}>{children}</Opening.Provider>;
}

/** A subject's name, which opens all that is known of it. */
export function SubjectName({ name }: { readonly name: string }): JSX.Element {
  const { openSubject } = useOpen();
  return (
    <button
      type="button"
      class="link long"
      title={name}
      aria-label={`Look up ${name}`}
      onClick={() => openSubject(name)}
    >
      <code>{name}</code>
    </button>
  );
}
