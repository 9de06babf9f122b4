import type { TableName } from '../partitions/partitioned-table.ts';
import { InvalidOptionError, wholeNumber, sqlState } from '../errors.ts';

/** Which rows of a table are old enough to leave it, and where they go. */
export interface ArchiveTable {
  /** The live table. Of one that is partitioned by range on the column of time, old partitions move whole. */
  readonly source: TableName;
  /** Has the source's columns under the same names; more are fine when they may be left out. Usually partitioned by month. */
  readonly target: TableName;
  /** Column of type timestamptz, timestamp or date that a row's age is told by. @default 'created_at' */
  readonly timestampColumn?: string;
  /** Rows older than so many days (of 24 hours) move; in whole partitions, once the last of their months is as old. */
  readonly retentionDays: number;
  /** SQL condition on the source's columns that a row must meet besides. Trusted: it is sent as it is. @default all rows */
  readonly where?: string;
  /** Most rows a transaction: it begins with 5,000 and takes as many as are moved in about 250 ms. @default 20_000 */
  readonly batchSize?: number;
}

/** An {@link ArchiveTable} with its defaults filled in. */
export type CompleteArchiveTable = Required<ArchiveTable>;

/** Finished generations. As text, because an application may have an enum of its own. */
export const FINISHED = `status::text IN ('completed', 'failed', 'cancelled')`;

/** The guide's three. A generation that is still running stays, however old. */
export const builtInArchives: readonly ArchiveTable[] = [
  {
    source: { schema: 'public', name: 'api_call_logs' },
    target: { schema: 'archive', name: 'api_call_logs' },
    retentionDays: 30,
  },
  {
    source: { schema: 'public', name: 'audit_logs' },
    target: { schema: 'archive', name: 'audit_logs' },
    retentionDays: 90,
  },
  {
    source: { schema: 'public', name: 'generations' },
    target: { schema: 'archive', name: 'generations' },
    retentionDays: 180,
    where: FINISHED,
  },
];

/**
 * SQL condition of the rows that move: older than the cutoff `$1`, from year 1 on. Partitions have no names for the years
 * before Christ, and `-infinity` is no time; those rows stay. Meant for a session in UTC.
 * @param column the timestamp column, quoted
 * @param type its type
 */
export function isOld(column: string, type: string, { where }: Pick<CompleteArchiveTable, 'where'>): string {
  return `${column} < ($1::timestamptz)::${type} AND ${column} >= ('0001-01-01 00:00:00+00'::timestamptz)::${type} AND (${where})`;
}

/**
 * Fills in defaults.
 * @throws {InvalidOptionError} for a value that can't work.
 */
export function completeArchiveTable(table: ArchiveTable): CompleteArchiveTable {
  const { source, target, retentionDays, timestampColumn = 'created_at', where = 'true', batchSize = 20_000 } = table;
  if (source.schema === target.schema && source.name === target.name) {
    throw new InvalidOptionError('target', `${target.schema}.${target.name}`, 'another table than the source');
  }
  if (timestampColumn === '') throw new InvalidOptionError('timestampColumn', timestampColumn, "a column's name");
  if (where.trim() === '') throw new InvalidOptionError('where', where, 'an SQL condition');
  wholeNumber('retentionDays', retentionDays, 0, 36_500);
  wholeNumber('batchSize', batchSize, 1, 100_000);
  return { source, target, retentionDays, timestampColumn, where, batchSize };
}

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
