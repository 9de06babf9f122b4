import { sqlState } from '../classify-db-error.ts';
import type { CompleteArchiveTable } from './archive-table.ts';

/**
 * Why a table was not archived, or not to the end:
 * - `preflight`: source and target don't fit together, or moving would destroy other tables' rows. Nothing was moved.
 * - `not_archivable`: there is no such source, or it has no column of time. Nothing was moved.
 * - `refused_rows`: the target refuses more rows than can be left out one by one. The others stay moved.
 * - `count_mismatch`: a batch would have stored fewer rows than it deleted. It was rolled back; those before it stay moved.
 * - `detached`: a partition has left the live table and can be attached neither to the archive nor back. Its rows are in it.
 */
export type ArchiveErrorReason = 'preflight' | 'not_archivable' | 'refused_rows' | 'count_mismatch' | 'detached';

/** A table can't be archived until a person changes something. */
export class ArchiveError extends Error {
  override readonly name: string = 'ArchiveError';
  readonly code = 'archive_error' as const;
  readonly reason: ArchiveErrorReason;
  /** The source, `schema.name`. */
  readonly table: string;
  /** One sentence for each thing to change. */
  readonly problems: readonly string[];

  constructor(reason: ArchiveErrorReason, table: string, problems: readonly string[]) {
    super(`${table}: ${problems.join('; ')}`);
    this.reason = reason;
    this.table = table;
    this.problems = problems;
  }
}

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
