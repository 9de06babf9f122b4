import { InvalidOptionError, wholeNumber } from '../invalid-option-error.ts';
import type { TableName } from '../partitions/partitioned-table.ts';

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
  /** Rows a transaction. @default 5_000 */
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
  const { source, target, retentionDays, timestampColumn = 'created_at', where = 'true', batchSize = 5_000 } = table;
  if (source.schema === target.schema && source.name === target.name) {
    throw new InvalidOptionError('target', `${target.schema}.${target.name}`, 'another table than the source');
  }
  if (timestampColumn === '') throw new InvalidOptionError('timestampColumn', timestampColumn, "a column's name");
  if (where.trim() === '') throw new InvalidOptionError('where', where, 'an SQL condition');
  wholeNumber('retentionDays', retentionDays, 0, 36_500);
  wholeNumber('batchSize', batchSize, 1, 100_000);
  return { source, target, retentionDays, timestampColumn, where, batchSize };
}
