import { sqlState } from '../sql-state.ts';
import { ArchiveError } from './archive-error.ts';
import type { CompleteArchiveTable } from './archive-table.ts';

/** More rows than these are no exception but a target that does not fit. */
const MOST = 1_000;

/** Rows that the target refuses. They stay in the source; all others move. */
export class RefusedRows {
  /** Where they are. */
  readonly places: string[] = [];
  readonly #table: CompleteArchiveTable;
  readonly #reasons = new Map<string, { rows: number; readonly first: string }>();

  constructor(table: CompleteArchiveTable) {
    this.#table = table;
  }

  /** Notes one, with its timestamp. @throws {ArchiveError} `refused_rows` when they are too many. */
  add(row: { readonly place: string; readonly at: string }, error: unknown): void {
    const message = error instanceof Error ? error.message : String(error);
    this.places.push(row.place);
    const reason = this.#reasons.get(message) ?? { rows: 0, first: row.at };
    this.#reasons.set(message, { ...reason, rows: reason.rows + 1 });
    if (this.places.length <= MOST) return;
    const { schema, name } = this.#table.source;
    throw new ArchiveError('refused_rows', `${schema}.${name}`, this.warnings);
  }

  /** A sentence for each reason. */
  get warnings(): string[] {
    const { schema, name } = this.#table.target;
    return [...this.#reasons].map(
      ([message, { rows, first }]) =>
        `${rows} row(s) stay, which ${schema}.${name} refuses (the first of ${first}): ${message}`,
    );
  }
}

/** Whether an error is about a row: a value out of range, a constraint, or an exception that a trigger raised. */
export function isRefusal(error: unknown): boolean {
  return /^(?:22|23|P0)/u.test(sqlState(error) ?? '');
}
