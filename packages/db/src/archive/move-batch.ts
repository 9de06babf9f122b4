import { qualified, type Period } from '../partitions/partitioned-table.ts';
import { type CompleteArchiveTable, isOld, ArchiveError } from './archive-table.ts';
import type { Preflight } from './preflight.ts';
import { type Connection, transaction } from '../connection.ts';

/** What one transaction moved. */
export interface Batch {
  /** Rows; as many were stored as deleted. */
  readonly moved: number;
  /** The newest timestamp among them, as text that casts back exactly; null when nothing was moved. */
  readonly last: string | null;
  /** Whole transaction, in milliseconds. */
  readonly durationMs: number;
}

/** Which rows a batch takes. */
export interface BatchRange {
  /** Timestamp to start from, included; null for the oldest row. */
  readonly from: string | null;
  /** Most rows. */
  readonly size: number;
  /** Rows to leave, by their places. */
  readonly except: readonly string[];
  /** Months to leave. */
  readonly exceptMonths: readonly Pick<Period, 'from' | 'to'>[];
}

/** Moves rows older than the cutoff. */
export interface Mover {
  /**
   * Moves a batch.
   * @param record runs inside the transaction, with the number of rows
   */
  move(range: BatchRange, record?: (moved: number) => Promise<void>): Promise<Batch>;
  /** The row that a batch of one would move; undefined when there is none. */
  first(range: BatchRange): Promise<{ readonly place: string; readonly at: string } | undefined>;
}

/** A batch waits so long for a lock on the table (not on rows: those are skipped), in milliseconds. */
const LOCK_TIMEOUT_MS = 1_000;

/** No batch may run longer, in milliseconds. */
const STATEMENT_TIMEOUT_MS = 30_000;

/** The statements of a table, for a range: `$1` the cutoff, `$2` where it starts, `$3` the rows to leave. */
function statementsOf(connection: Connection, table: CompleteArchiveTable, preflight: Preflight) {
  const { columns, timestampType, from: source, hasPartitions } = preflight;
  const quote = (name: string): string => connection.escapeIdentifier(name);
  const at = quote(table.timestampColumn);
  const list = columns.map((column) => quote(column)).join(', ');
  const outside = ({ from, to }: Pick<Period, 'from' | 'to'>): string =>
    ` AND NOT (${at} >= '${from}'::timestamptz::${timestampType} AND ${at} < '${to}'::timestamptz::${timestampType})`;
  const old = isOld(at, timestampType, table);
  // In a table with partitions, a row's place is its partition and its ctid there.
  const place = hasPartitions ? '(tableoid::text || ctid::text)' : 'ctid';
  // A batch of one has to be the same row each time that it is picked.
  const pick = (what: string, { size, exceptMonths }: BatchRange): string => `
        SELECT ${what} FROM ${source}
        WHERE ${old}
          AND ${at} >= coalesce($2::${timestampType}, '-infinity')
          AND ${place} <> ALL ($3::${hasPartitions ? 'text' : 'tid'}[])${exceptMonths.map(outside).join('')}
        ORDER BY ${size === 1 ? `${at}${hasPartitions ? ', tableoid' : ''}, ctid` : at}
        LIMIT ${size}
        FOR UPDATE SKIP LOCKED`;
  const picked = (range: BatchRange): string =>
    hasPartitions
      ? `WITH picked AS MATERIALIZED (${pick('tableoid, ctid', range)}
    ), moved AS (
      DELETE FROM ${source}
      WHERE ctid = ANY (ARRAY(SELECT ctid FROM picked)) AND (tableoid, ctid) IN (SELECT tableoid, ctid FROM picked) AND ${old}`
      : `WITH moved AS (
      DELETE FROM ${source}
      WHERE ctid = ANY (ARRAY(${pick('ctid', range)}))`;
  return {
    move: (range: BatchRange): string => `
    ${picked(range)}
      RETURNING ${list}
    ), stored AS (
      INSERT INTO ${qualified(connection, table.target)} (${list}) OVERRIDING SYSTEM VALUE
      SELECT ${list} FROM moved
      RETURNING 1
    )
    SELECT (SELECT count(*)::int FROM moved) AS deleted,
           (SELECT count(*)::int FROM stored) AS archived,
           (SELECT max(${at})::text FROM moved) AS last`,
    first: (range: BatchRange): string => pick(`${place}::text AS place, ${at}::text AS at`, { ...range, size: 1 }),
  };
}

const settings = {
  lockTimeoutMs: LOCK_TIMEOUT_MS,
  statementTimeoutMs: STATEMENT_TIMEOUT_MS,
  timeZone: 'UTC',
} as const;

/** A batch keeps its rows locked until it is committed: sizes follow the time that the last one took, towards this, in milliseconds. */
const BATCH_MS = 250;

/** Rows of the first batch at most; and that many are moved at once however long it takes, unless the table's own size is less. */
const FIRST_BATCH = 5_000;
const LEAST_BATCH = 1_000;

/** How many rows the first batch takes. @param most of the table */
export function firstBatchSize(most: number): number {
  return Math.min(most, FIRST_BATCH);
}

/** How many rows the next batch takes: at most twice as many as the last. @param most of the table */
export function nextBatchSize(last: { readonly size: number; readonly durationMs: number }, most: number): number {
  const fitting = Math.floor((last.size * BATCH_MS) / Math.max(1, last.durationMs));
  return Math.min(most, 2 * last.size, Math.max(LEAST_BATCH, fitting));
}

/**
 * Makes the mover of a table: pick, delete and store in one statement, so that a row is in exactly one of the two tables
 * whenever anything dies.
 *
 * Rows that another transaction has locked are skipped, and picked later. Rows are found by ctid, which can't change once they are
 * locked; ONLY, because a child table's ctid means another row. In a partitioned table they are found by partition and ctid, and
 * through the table itself: a partition has policies and grants of its own. There is no ON CONFLICT: a row that the target refuses
 * must not be deleted, and a trigger or rule there that swallows rows shows in the counts. A refused row fails its batch;
 * the caller finds it with smaller ones and leaves it out by its ctid, which a row that is then updated loses.
 */
export function prepareMover(
  connection: Connection,
  table: CompleteArchiveTable,
  preflight: Preflight,
  cutoff: string,
): Mover {
  const statements = statementsOf(connection, table, preflight);
  const values = ({ from, except }: BatchRange): unknown[] => [cutoff, from, except];
  const move: Mover['move'] = async (range, record) => {
    const started = performance.now();
    const counted = await transaction(connection, settings, async () => {
      const { rows } = await connection.query<{ deleted: number; archived: number; last: string | null }>(
        statements.move(range),
        values(range),
      );
      const { deleted, archived, last } = rows[0] ?? { deleted: 0, archived: 0, last: null };
      if (deleted !== archived) {
        throw new ArchiveError('count_mismatch', `${table.source.schema}.${table.source.name}`, [
          `a batch deleted ${deleted} rows but stored ${archived}: does a trigger or rule of the target drop rows?`,
        ]);
      }
      if (deleted > 0) await record?.(deleted);
      return { moved: deleted, last };
    });
    return { ...counted, durationMs: performance.now() - started };
  };
  const first: Mover['first'] = async (range) =>
    transaction(connection, settings, async () => {
      const { rows } = await connection.query<{ place: string; at: string }>(statements.first(range), values(range));
      return rows[0];
    });
  return { move, first };
}
